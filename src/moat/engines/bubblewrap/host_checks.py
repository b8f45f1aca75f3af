"""Checks of what a sandbox needs of this machine, with a remedy for each that fails."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from moat.engines.bubblewrap.rlimits import delegating_cgroup
from moat.engines.engine import Check
from moat.errors import EngineError

_SYSCTL: Final = Path("/proc/sys")
_INSTALL: Final = "install bubblewrap (the package has that name in every distribution)"
# The newest options that `layout` uses. They came with 0.10, and distributions added them to older
# versions when they fixed CVE-2024-42472.
_NEEDED_OPTIONS: Final = ("--ro-bind-fd", "--size", "--perms", "--clearenv", "--info-fd")
_APPARMOR_SWITCH: Final = "kernel.apparmor_restrict_unprivileged_userns"

_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000


def require_bubblewrap() -> str:
    """Return the path of `bwrap`.

    Raises `EngineError` with a remedy if it is missing or user namespaces are switched off. The check
    is cheap: it looks at files and starts nothing, so it misses what only an attempt shows.
    """
    for check in (_bubblewrap(), _user_namespaces_on()):
        if not check.ok:
            raise EngineError(check.detail, check.remedy)
    return str(shutil.which("bwrap"))


def isolation_failed(reason: str) -> EngineError:
    """Return an error that explains, as far as possible, why the kernel refused a sandbox."""
    for check in (_bubblewrap(), _user_namespaces_on(), _bubblewrap_options(), _namespaces()):
        if not check.ok:
            return EngineError(f"no sandbox: {check.detail} ({reason})", check.remedy)
    return EngineError(f"no sandbox: {reason}", "moat doctor shows what this machine lacks")


def checks() -> list[Check]:
    """Run all checks, for `moat doctor`; some start processes."""
    found = [_bubblewrap(), _user_namespaces_on(), _namespaces()]
    if found[0].ok:
        found += [_bubblewrap_options(), _sandbox()]
    return [*found, _cgroups()]


def _bubblewrap() -> Check:
    place = shutil.which("bwrap")
    if place is None:
        return Check("bubblewrap", False, "bubblewrap (bwrap) is not installed", _INSTALL)
    return Check("bubblewrap", True, place)


def _bubblewrap_options() -> Check:
    name = "bubblewrap options"
    done = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
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


def _sandbox() -> Check:
    """Run bubblewrap itself, with the mounts that containers forbid most often."""
    name = "sandbox"
    command = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/"]
    command += ["--proc", "/proc", "--dev", "/dev", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Check(name, True, "bubblewrap runs a command")
    return Check(name, False, done.stderr.strip(), _namespace_remedy())


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
        "no cgroup (version 2) is delegated to you: --memory and --pids limit each process by itself, "
        "--cpus picks processors",
        "start moat in a session of its own: systemd-run --user --scope -p Delegate=yes moat run",
    )


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _sysctl(name: str) -> int | None:
    """Return a kernel setting; `None` where this kernel doesn't have it."""
    try:
        return int((_SYSCTL / name.replace(".", "/")).read_text())
    except FileNotFoundError:
        return None
