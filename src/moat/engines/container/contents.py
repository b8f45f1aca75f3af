"""Translation of a `RunSpec` into what the shim puts into a container, on top of the image.

`Contents.of` collects, in this order: the run's own files of /etc and the certificates that its programs
are to trust, home and temporary folders, sockets of services, the workspace with its protected paths,
and what the user asked for. The image has everything else.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from moat.engines.container.mounts import Mounts
from moat.engines.trust_store import certificates
from moat.engines.under_shim.environment import environment
from moat.engines.under_shim.granted_files import write_granted_files
from moat.engines.under_shim.own_files import own_files
from moat.engines.under_shim.own_folders import OwnFolders
from moat.engines.under_shim.places import HOME
from moat.engines.under_shim.user_mounts import mount_user_mounts
from moat.engines.under_shim.volumes import mount_volumes
from moat.workspace.covers import mount_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from moat.spec import RunSpec
    from moat.workspace.covers import WritableFolder

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOLDERS: Final = (("tmp", "/tmp"), ("var-tmp", "/var/tmp"), ("home", HOME))  # noqa: S108  the container's own


@dataclass(frozen=True, slots=True)
class Contents:
    """The mounts of a container, and those to clean up after the run; a context manager."""

    mounts: Mounts
    writable_folders: tuple[WritableFolder, ...]

    @classmethod
    def of(
        cls, spec: RunSpec, private: Path, authority: bytes, services: Mapping[Path, str]
    ) -> Self:
        """Make the run's `private` folder, and collect what its container gets.

        `authority` is the certificate, in PEM, that programs are to trust, `services` maps sockets of
        this machine to their paths in the container. Raises `UsageError`.
        """
        mounts = Mounts(private)
        with ExitStack() as on_failure:
            on_failure.callback(mounts.close)
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
            _mount_own_files(mounts, spec, private, authority)
            for name, target in _FOLDERS:
                folder = private / name
                folder.mkdir(mode=0o700, exist_ok=True)
                mounts.bind(folder, target, writable=True)
            write_granted_files(spec, private)
            for socket, target in services.items():
                mounts.bind(socket, target)  # it can be connected to all the same
            writable = mount_workspace(mounts, spec)
            own = OwnFolders.of(spec)
            writable += mount_user_mounts(mounts, spec, own, writable)
            writable += mount_volumes(mounts, spec, own)
            on_failure.pop_all()
        return cls(mounts, tuple(writable))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.mounts.close()


def _mount_own_files(mounts: Mounts, spec: RunSpec, private: Path, authority: bytes) -> None:
    raw = spec.network.tcp or spec.network.passthrough
    trust = certificates.for_image(authority, intercepts_all=not raw)
    folder = private / "etc"
    files = {name: text.encode() for name, text in own_files(spec).items()} | dict(trust.files)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)
        mounts.bind(path, f"/etc/{name}")
    for place in trust.places:
        mounts.bind(folder / place.name, place.path, beside=place.beside)


def command_environment(
    spec: RunSpec, image: Mapping[str, str], *, tty: bool, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return all variables of a command in a container; `image` are those of the image."""
    user = "root" if os.geteuid() == 0 else "agent"
    own = {
        "PATH": _PATH,
        **image,
        **certificates.variables(),  # an image may name its own file, without the run's authority
        "HOME": HOME,
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/sh",
    }
    return environment(spec, own, tty=tty, variables=variables)
