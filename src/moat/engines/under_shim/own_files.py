"""Files of /etc that every sandbox has of its own: its names, and who commits in it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from moat.engines.under_shim.places import hostname
from moat.spec.service import ADDRESS
from moat.workspace import git_identity
from moat.workspace.covers import workspace_folder

if TYPE_CHECKING:
    from moat.spec import RunSpec


def own_files(spec: RunSpec) -> dict[str, str]:
    """Return the content of each file, by its path relative to /etc."""
    return {
        **name_files(spec),
        "hostname": f"{hostname(spec)}\n",
        "gitconfig": git_identity.config_for(workspace_folder(spec)),
        # The host's own would identify the machine.
        "machine-id": f"{sha256(spec.id.encode()).hexdigest()[:32]}\n",
    }


def name_files(spec: RunSpec) -> dict[str, str]:
    """Return those files by which programs resolve names, in the sandbox and in its services."""
    services = "".join(f"{ADDRESS} {each.name}\n" for each in spec.services)
    own = f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {hostname(spec)}\n"
    return {"hosts": own + services, "resolv.conf": "nameserver 127.0.0.1\n"}
