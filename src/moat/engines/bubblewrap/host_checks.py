"""Checks of what a sandbox needs of this machine, with a remedy for each that fails."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from moat.engines.bubblewrap.rlimits import delegating_cgroup
from moat.engines.engine import Check
from moat.errors import EngineError
from moat.ground import programs

_SYSCTL: Final = Path("/proc/sys")
_INSTALL: Final = "install bubblewrap (the package has that name in every distribution)"
_CHOOSE: Final = (
    f"{_INSTALL}, or name yours in Moat's settings: programs: {{bwrap: /path/of/bwrap}}"
)
_CORRECT: Final = "correct programs.bwrap in Moat's settings, or leave it out"
# The newest options that `layout` uses. They came with 0.10, and distributions added them to older
# versions when they fixed CVE-2024-42472.
_NEEDED_OPTIONS: Final = ("--ro-bind-fd", "--size", "--perms", "--clearenv", "--info-fd")
_APPARMOR_SWITCH: Final = "kernel.apparmor_restrict_unprivileged_userns"

_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000


def require_bubblewrap(chosen: str = "") -> str:
    """Return the path of `bwrap`: the one that the user has `chosen`, or else the system's.

    Raises `EngineError` with a remedy if it is missing or user namespaces are switched off. The check
    is cheap: it looks at files and starts nothing, so it misses what only an attempt shows.
    """
    found = programs.search("bwrap", chosen)
    for check in (_bubblewrap(found, chosen), _user_namespaces_on()):
        if not check.ok:
            raise EngineError(check.detail, check.remedy)
    return str(found.path)


def isolation_failed(reason: str, chosen: str = "") -> EngineError:
    """Return an error that explains, as far as possible, why the kernel refused a sandbox."""
    found = programs.search("bwrap", chosen)
    checks = [_bubblewrap(found, chosen), _user_namespaces_on()]
    if found.path is not None:
        checks += [_bubblewrap_options(found.path), _namespaces()]
    for check in checks:
        if not check.ok:
            return EngineError(f"no sandbox: {check.detail} ({reason})", check.remedy)
    return EngineError(f"no sandbox: {reason}", "moat doctor shows what this machine lacks")


def checks(chosen: str = "") -> list[Check]:
    """Run all checks, for `moat doctor`; some start processes. `chosen`: see `require_bubblewrap`."""
    found = programs.search("bwrap", chosen)
    done = [_bubblewrap(found, chosen), _user_namespaces_on(), _namespaces()]
    if found.path is not None:
        done += [_bubblewrap_options(found.path), _sandbox(found.path)]
    return [*done, _cgroups()]


def _bubblewrap(found: programs.Search, chosen: str) -> Check:
    ignored = programs.ignored_on_path("bwrap", os.environ.get("PATH", ""))
    passed_over = [
        *found.passed_over,
        *(f"{path}: not in a folder of the system" for path in ignored if path != chosen),
    ]
    if found.path is not None:
        unused = tuple(f"not used: {each}" for each in passed_over)
        return Check("bubblewrap", True, found.path, warnings=unused)
    if chosen:
        reason = found.passed_over[0] if found.passed_over else f"there is no {chosen}"
        return Check(
            "bubblewrap", False, f"the bwrap of your settings can't be used: {reason}", _CORRECT
        )
    if passed_over:
        return Check(
            "bubblewrap", False, f"no bwrap that can be trusted: {'; '.join(passed_over)}", _CHOOSE
        )
    return Check("bubblewrap", False, "bubblewrap (bwrap) is not installed", _INSTALL)


def _bubblewrap_options(bwrap: str) -> Check:
    name = "bubblewrap options"
    done = _run(bwrap, "--help")
    missing = [option for option in _NEEDED_OPTIONS if option not in done.stdout]
    if missing:
        return Check(
            name,
            False,
            f"this bubblewrap lacks {', '.join(missing)}",
            "update bubblewrap to 0.10, or to your distribution's fix for CVE-2024-42472",
        )
    return Check(name, True, "all supported")


def _user_namespaces_on() -> Check:
    name = "user namespaces allowed"
    if _sysctl("user.max_user_namespaces") == 0:
        return Check(
            name,
            False,
            "user namespaces are switched off (user.max_user_namespaces is 0)",
            "sudo sysctl -w user.max_user_namespaces=15000",
        )
    if _sysctl("kernel.unprivileged_userns_clone") == 0 and os.geteuid() != 0:
        return Check(
            name,
            False,
            "user namespaces are for root only (kernel.unprivileged_userns_clone is 0)",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        )
    return Check(name, True, "no setting forbids them")


def _namespaces() -> Check:
    """Try in a child process what the shim does first."""
    name = "namespaces"
    failure = _try_namespaces()
    if failure is None:
        return Check(name, True, "a user and a network namespace were created")
    return Check(name, False, f"the kernel refuses namespaces: {failure}", _namespace_remedy())


def _namespace_remedy() -> str:
    if _sysctl(_APPARMOR_SWITCH) == 1 and os.geteuid() != 0:
        return (
            f"sudo sysctl -w {_APPARMOR_SWITCH}=0\n"
            "or give Moat's Python an AppArmor profile, in /etc/apparmor.d/moat:\n"
            f"  abi <abi/4.0>, profile moat {os.path.realpath(sys.executable)} "
            "flags=(unconfined) { userns, }"
        )
    if _in_container():
        return (
            "this is a container: start it with --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined, "
            "or with --privileged"
        )
    return "a security module or a seccomp filter around Moat forbids unshare(2): lift it"


def _try_namespaces() -> str | None:
    """Return the kernel's error, or `None` if the namespaces were created.

    AppArmor allows the first step, but grants no capability in the new namespace.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        # The second step needs a capability that the first one should have given.
        for step in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNS):
            if libc.unshare(step) != 0:
                os.write(write, os.strerror(ctypes.get_errno()).encode())
                break
        os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:  # noqa: PTH123  a descriptor
        failure = answer.read().decode()
    # If SIGCHLD is ignored, as in a supervisor, the kernel has reaped the child already.
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return failure or None


def _sandbox(bwrap: str) -> Check:
    """Run bubblewrap itself, with the mounts that containers forbid most often."""
    name = "sandbox"
    mounts = ("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
    done = _run(
        *(bwrap, "--unshare-user", "--unshare-pid", *mounts),
        # This sandbox shows the whole host: nothing that PATH leads to may run in it.
        *("--", sys.executable, "-I", "-S", "-c", ""),
    )
    if done.returncode == 0:
        return Check(name, True, "bubblewrap runs a command")
    return Check(name, False, done.stderr.strip(), _namespace_remedy())


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _cgroups() -> Check:
    """Say how limits are enforced. This never fails: without cgroups there are resource limits."""
    name = "limits"
    delegated = [
        controller
        for controller in ("memory", "cpu", "pids")
        if delegating_cgroup(frozenset((controller,))) is not None
    ]
    if delegated:
        return Check(name, True, f"by cgroup: {', '.join(delegated)}; the others by rlimit")
    return Check(
        name,
        True,
        "by rlimit alone",
        "start moat in a session of its own: systemd-run --user --scope -p Delegate=yes moat run",
        (
            "no cgroup (version 2) is delegated to you",
            "--memory and --pids limit each process by itself, and --cpus picks processors",
        ),
    )


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _sysctl(name: str) -> int | None:
    """Return a kernel setting; `None` where this kernel doesn't have it."""
    try:
        return int((_SYSCTL / name.replace(".", "/")).read_text())
    except FileNotFoundError:
        return None
