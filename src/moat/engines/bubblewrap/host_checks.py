"""What this machine must have for a sandbox, and what to do where it doesn't."""

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
# The newest of what `layout` uses. It came with 0.10, and distributions gave it to older versions
# when they mended CVE-2024-42472.
_NEEDED_OPTIONS: Final = ("--ro-bind-fd", "--size", "--perms", "--clearenv", "--info-fd")
_APPARMOR_SWITCH: Final = "kernel.apparmor_restrict_unprivileged_userns"

_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000


def require_bubblewrap() -> str:
    """Where `bwrap` is. Cheap: it looks at files, starts nothing, and misses what only a try tells.

    `EngineError` with the remedy where it is missing or user namespaces are switched off.
    """
    for check in (_bubblewrap(), _user_namespaces_on()):
        if not check.ok:
            raise EngineError(check.detail, check.remedy)
    return str(shutil.which("bwrap"))


def isolation_failed(reason: str) -> EngineError:
    """For a shim or a bubblewrap that the kernel refused something: why, as far as can be told."""
    for check in (_bubblewrap(), _user_namespaces_on(), _bubblewrap_options(), _namespaces()):
        if not check.ok:
            return EngineError(f"no sandbox: {check.detail} ({reason})", check.remedy)
    return EngineError(f"no sandbox: {reason}", "moat doctor tells what this machine lacks")


def checks() -> list[Check]:
    """All of them, for `moat doctor`; some start processes."""
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
            f"this bubblewrap has no {', '.join(missing)}",
            "update bubblewrap to 0.10, or to your distribution's fix for CVE-2024-42472",
        )
    return Check(name, True, "all there")


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
    """What the shim does first, tried in a child."""
    name = "namespaces"
    failure = _try_namespaces()
    if failure is None:
        return Check(name, True, "a user and a network namespace were made")
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
    """The kernel's objection; AppArmor's is to give no capability in the namespace."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        # The second step needs a capability that the first should have given.
        for step in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNS):
            if libc.unshare(step) != 0:
                os.write(write, os.strerror(ctypes.get_errno()).encode())
                break
        os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:  # noqa: PTH123  a descriptor
        failure = answer.read().decode()
    # Where SIGCHLD is ignored, as in a supervisor, the kernel has reaped it already.
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return failure or None


def _sandbox() -> Check:
    """Bubblewrap itself, with the mounts that containers forbid most often."""
    name = "sandbox"
    command = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/"]
    command += ["--proc", "/proc", "--dev", "/dev", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Check(name, True, "bubblewrap runs a command")
    return Check(name, False, done.stderr.strip(), _namespace_remedy())


def _cgroups() -> Check:
    """Never a failure: without cgroups, limits are kept in another way."""
    name = "limits"
    handed_down = [
        controller
        for controller in ("memory", "cpu", "pids")
        if delegating_cgroup(frozenset((controller,))) is not None
    ]
    if handed_down:
        return Check(name, True, f"kept by cgroup: {', '.join(handed_down)}; the others by rlimits")
    return Check(
        name,
        True,
        "no cgroup (version 2) is delegated to you: --memory and --pids bound each process alone, "
        "--cpus picks processors",
        "start moat in a session of its own: systemd-run --user --scope -p Delegate=yes moat run",
    )


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _sysctl(name: str) -> int | None:
    """`None` where this kernel has no such setting."""
    try:
        return int((_SYSCTL / name.replace(".", "/")).read_text())
    except FileNotFoundError:
        return None
