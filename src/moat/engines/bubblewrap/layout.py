"""From a `RunSpec` to bubblewrap's arguments: all that the sandboxed command sees.

`Layout.of` names what is shown and who shows it:

1. `system`: software, /etc without secrets, kernel interfaces, places for scratch;
2. `toolchains`: what the user's PATH leads to;
3. `workspace`: the code, with what the host trusts in it read-only;
4. `user_mounts`: what the user asked for.

Nothing else exists in the sandbox. There is no `--unshare-net`: bubblewrap inherits the network
namespace of the shim that starts it, and sets up its own of every other kind.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from moat.engines.bubblewrap.etc_files import Own, own_file
from moat.engines.bubblewrap.mounts import Mounts
from moat.engines.bubblewrap.system import HOME, UID, hostname, shell, show_system
from moat.engines.bubblewrap.toolchains import Grounds, Toolchains, find_toolchains
from moat.engines.bubblewrap.user_mounts import show_user_mounts
from moat.engines.trust_store import certificates
from moat.errors import UsageError
from moat.paths import moat_home
from moat.workspace.beneath import overlap
from moat.workspace.covers import mount_workspace, workspace_folder

if TYPE_CHECKING:
    from types import TracebackType

    from moat.spec import RunSpec
    from moat.workspace.covers import WritableFolder

_NAMESPACES: Final = (
    *("--unshare-user", "--uid", str(UID), "--gid", str(UID)),
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--cap-drop", "ALL", "--clearenv"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Bubblewrap's arguments up to the command, and the descriptors that they name.

    The descriptors must be inherited under the same numbers by the process that becomes
    bubblewrap. Leaving the layout closes our side of them.
    """

    arguments: tuple[str, ...]
    descriptors: tuple[int, ...]
    writable_folders: tuple[WritableFolder, ...]
    """The folders to clean up after the run (`moat.workspace.cleanup`)."""

    @classmethod
    def of(cls, spec: RunSpec, private: Path, authority: bytes) -> Self:
        """Make the run's `private` folder and say what is shown where.

        `authority`: the certificate, in PEM, that programs in the sandbox are to trust.
        `UsageError` for a workspace, exclude or mount that can't be shown safely.
        """
        grounds = _grounds(spec)
        mounts = Mounts(private)
        with ExitStack() as on_failure:
            on_failure.callback(mounts.close)
            toolchains = find_toolchains(spec.host_path, grounds)
            java_home = spec.env.get("JAVA_HOME")
            trust = certificates.trust_store(authority, toolchains, java_home)
            show_system(mounts, spec, private, Own(trust.files, trust.links))
            _show_toolchains(mounts, toolchains, grounds)
            for path, name in trust.covers.items():
                mounts.read_only(own_file(private, name), path)
            areas = mount_workspace(mounts, spec)
            areas += show_user_mounts(mounts, spec, grounds, shown=areas)
            # The root itself is a tmpfs without a bound: nothing may be written to it.
            mounts.freeze("/")
            variables = _environment(spec, toolchains, tty=spec.tty)
            arguments = (
                *_NAMESPACES,
                *("--hostname", hostname(spec)),
                *mounts.arguments,
                *(word for pair in variables.items() for word in ("--setenv", *pair)),
                *("--chdir", spec.workdir),
            )
            _refuse_zeros(arguments)
            on_failure.pop_all()
        return cls(arguments, tuple(mounts.descriptors), tuple(areas))

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


def environment(spec: RunSpec, *, tty: bool) -> dict[str, str]:
    """All variables of a command in the run's sandbox."""
    toolchains = find_toolchains(spec.host_path, _grounds(spec))
    return _environment(spec, toolchains, tty=tty)


def _grounds(spec: RunSpec) -> Grounds:
    grounds = Grounds(
        home=Path(os.path.realpath(Path.home())),
        workspace=workspace_folder(spec),
        store=Path(os.path.realpath(moat_home())),
    )
    if overlap(grounds.workspace, grounds.store):
        raise UsageError(
            f"workspace {spec.workspace} would show {grounds.store}, where Moat keeps its runs",
            "work in a folder below it, or set MOAT_HOME to a folder elsewhere",
        )
    return grounds


def _show_toolchains(mounts: Mounts, toolchains: Toolchains, grounds: Grounds) -> None:
    for path in sorted(toolchains.roots):
        mounts.read_only(path, path)
    home = Path.home()
    if toolchains.roots and home not in {grounds.home, Path(HOME)}:
        mounts.link(grounds.home, home)  # shebangs may name it by the link's name


def _environment(spec: RunSpec, toolchains: Toolchains, *, tty: bool) -> dict[str, str]:
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor"} if tty else {}
    return {
        "HOME": HOME,
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": shell(),
        "PATH": ":".join(toolchains.path),
        "LANG": "C.UTF-8",
        **certificates.variables(),
        **toolchains.env,
        **terminal,
        **spec.env,
        "MOAT_RUN": spec.id,
    }


def _refuse_zeros(arguments: tuple[str, ...]) -> None:
    """A zero byte would end an argument and begin one that nobody wrote."""
    for argument in arguments:
        if "\0" in argument:
            raise UsageError(
                f"{argument!r} holds a zero byte", "remove it from the path, name or variable"
            )
