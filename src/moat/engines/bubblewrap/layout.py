"""Translation of a `RunSpec` into bubblewrap's arguments: all that the sandboxed command sees.

`Layout.of` puts together what these modules contribute:

1. `system`: software, /etc without secrets, kernel interfaces, home and temporary folders;
2. `toolchains`: what the user's PATH leads to;
3. `moat.workspace.covers`: the code, with what the host trusts in it read-only;
4. `user_mounts`: what the user asked for.

Nothing else exists in the sandbox. There is no `--unshare-net`: bubblewrap inherits the network
namespace of the shim that starts it, and creates namespaces of every other kind.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from moat.engines.bubblewrap.agent_home import mount_agent_home
from moat.engines.bubblewrap.etc_files import EtcFiles, etc_file
from moat.engines.bubblewrap.mounts import Mounts
from moat.engines.bubblewrap.system import UID, address, mount_system, shell
from moat.engines.bubblewrap.toolchains.ahead import SearchAhead
from moat.engines.bubblewrap.toolchains.find import HostFolders, Toolchains, find_toolchains
from moat.engines.bubblewrap.toolchains.show import Software
from moat.engines.trust_store import certificates
from moat.engines.under_shim.environment import environment as environment_of
from moat.engines.under_shim.granted_files import write_granted_files
from moat.engines.under_shim.own_folders import OwnFolders
from moat.engines.under_shim.places import HOME, hostname
from moat.engines.under_shim.user_mounts import mount_user_mounts
from moat.engines.under_shim.volumes import mount_volumes
from moat.errors import UsageError
from moat.workspace.covers import mount_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from moat.engines.bubblewrap.toolchains.ahead import Found
    from moat.engines.trust_store.certificates import TrustStore
    from moat.spec import RunId, RunSpec
    from moat.workspace.covers import WritableFolder

_NAMESPACES: Final = (
    *("--unshare-user", "--uid", str(UID), "--gid", str(UID)),
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--cap-drop", "ALL", "--clearenv"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Bubblewrap's arguments up to the command, and the descriptors that they name.

    The process that becomes bubblewrap must inherit the descriptors under the same numbers. The
    layout is a context manager that closes them at its end.
    """

    arguments: tuple[str, ...] = field(repr=False)  # secrets are among them
    descriptors: tuple[int, ...]
    writable_folders: tuple[WritableFolder, ...]
    """The folders to clean up after the run (`moat.workspace.cleanup`)."""
    links: tuple[tuple[str, str], ...]
    """See `Mounts.links`."""

    @classmethod
    def of(
        cls,
        spec: RunSpec,
        private: Path,
        authority: bytes,
        services: Mapping[Path, str] = MappingProxyType({}),
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Self:
        """Make the run's `private` folder and lay out the sandbox.

        `authority` is the certificate, in PEM, that programs in the sandbox are to trust. `services`
        maps sockets of this machine to their paths in the sandbox, `variables` are further ones.
        Raises `UsageError` for a workspace, exclude or mount that can't be shown safely.
        """
        host = _host_folders(spec)
        mounts = Mounts(private)
        with ExitStack() as on_failure:
            on_failure.callback(mounts.close)
            ahead = _searches.pop(spec.id, None)
            searched = ahead.result() if ahead is not None else {}
            software = Software.of(spec.bubblewrap.host_path, host, searched)
            toolchains = software.toolchains
            java_home = spec.env.get("JAVA_HOME")
            raw = spec.network.tcp or spec.network.passthrough
            trust = certificates.trust_store(
                authority, toolchains, java_home, intercepts_all=not raw
            )
            _mount_software(mounts, spec, private, software, trust)
            write_granted_files(spec, private)
            mount_agent_home(mounts, spec, private)
            for socket, target in services.items():
                mounts.bind_read_only(socket, target)  # it can be connected to all the same
            writable = mount_workspace(mounts, spec)
            own = OwnFolders.of(spec)
            writable += mount_user_mounts(mounts, spec, own, writable)
            writable += mount_volumes(mounts, spec, own)
            # The root is a tmpfs without a size limit: nothing may be written to it.
            mounts.remount_read_only("/")
            variables = _environment(spec, toolchains, tty=spec.tty, variables=variables)
            arguments = (
                *_NAMESPACES,
                *("--hostname", hostname(spec)),
                *mounts.arguments,
                *(word for pair in variables.items() for word in ("--setenv", *pair)),
                *("--chdir", spec.workdir),
            )
            _refuse_zero_bytes(arguments)
            on_failure.pop_all()
        return cls(arguments, tuple(mounts.descriptors), tuple(writable), tuple(mounts.links))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


_searches: Final[dict[RunId, SearchAhead]] = {}


def search_ahead(spec: RunSpec) -> None:
    """Have the user's software searched for secrets by another process, until `Layout.of` needs it."""

    def search() -> Found:
        software = Software.of(spec.bubblewrap.host_path, _host_folders(spec), {})
        return {str(root): dict(hidden) for root, hidden in software.hidden.items()}

    _searches[spec.id] = SearchAhead(search)


def environment(
    spec: RunSpec, *, tty: bool, variables: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Return all environment variables of a command in the run's sandbox."""
    toolchains = find_toolchains(spec.bubblewrap.host_path, _host_folders(spec))
    return _environment(spec, toolchains, tty=tty, variables=variables)


def _host_folders(spec: RunSpec) -> HostFolders:
    own = OwnFolders.of(spec)
    return HostFolders(
        home=Path(os.path.realpath(Path.home())), workspace=own.original, store=own.store
    )


def _mount_software(
    mounts: Mounts, spec: RunSpec, private: Path, software: Software, trust: TrustStore
) -> None:
    """Mount the system and the user's toolchains, which trust the run's authority."""
    mount_system(mounts, spec, private, EtcFiles(trust.files, trust.links))
    software.mount(mounts)
    home = Path.home()
    real_home = Path(os.path.realpath(home))
    if software.toolchains.roots and home not in {real_home, Path(HOME)}:
        mounts.symlink(real_home, home)  # shebangs may name the folder by the link
    for path, name in trust.covers.items():
        mounts.bind_read_only(etc_file(private, name), path)


def _environment(
    spec: RunSpec, toolchains: Toolchains, *, tty: bool, variables: Mapping[str, str]
) -> dict[str, str]:
    own = {
        "HOME": HOME,
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": shell(),
        "PATH": ":".join(toolchains.path),
        **toolchains.env,
        **address(spec),
    }
    return environment_of(spec, own, tty=tty, variables=variables)


def _refuse_zero_bytes(arguments: tuple[str, ...]) -> None:
    """Raise `UsageError` for a zero byte, which would end an argument and begin a forged one."""
    for argument in arguments:
        if "\0" in argument:
            raise UsageError(
                f"{argument!r} contains a zero byte", "remove it from the path, name or variable"
            )
