"""The machine's software and the kernel's interfaces, as the sandbox sees them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.etc_files import EtcFiles, mount_etc
from moat.engines.under_shim.own_files import own_files
from moat.engines.under_shim.places import HOME, SYSTEM_FOLDERS
from moat.workspace import git_identity
from moat.workspace.covers import workspace_folder

if TYPE_CHECKING:
    from moat.engines.bubblewrap.mounts import Mounts
    from moat.spec import RunSpec

STANDARD_PATH: Final = (
    *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"),
)

UID: Final = 1000

# The kernel's facts about the whole machine. Container engines hide most of them too. Page maps and
# slab lists are for root alone, but root may be the one who runs Moat.
_HIDDEN_IN_PROC: Final = (
    *("acpi", "asound", "driver", "fs", "kcore", "key-users", "keys", "kmsg", "kpagecgroup"),
    *("kpagecount", "kpageflags", "latency_stats", "mtrr", "sched_debug", "scsi", "slabinfo"),
    *("sysrq-trigger", "timer_list", "vmallocinfo"),
)
# The network namespace belongs to the user who runs Moat, and so do its settings below sys/net. The
# command runs as the same user and could write them. Bubblewrap covers what it finds writable, and
# doesn't find these.
_READ_ONLY_IN_PROC: Final = ("bus", "irq", "pressure", "sys")

DEVICES: Final = tuple(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")
)
"""The host's devices that bubblewrap's /dev shows."""

_DEVICE_MEMORY: Final = 64 * 1024 * 1024
_RUN_MEMORY: Final = 16 * 1024 * 1024


def mount_system(mounts: Mounts, spec: RunSpec, private: Path, etc: EtcFiles) -> None:
    """Mount all but the user's own files: software, /etc, kernel interfaces, home and /tmp.

    The sandbox's home, /tmp and files of /etc are made in `private`. `etc` holds what /etc gets of
    the run's own besides its users and names.
    """
    for folder in SYSTEM_FOLDERS:
        if folder.is_symlink():
            mounts.symlink(folder.readlink(), folder)
        elif folder.is_dir():
            mounts.bind_read_only(folder, folder)
    mount_etc(
        mounts, private, EtcFiles({**_users(spec), **own_files(spec), **etc.files}, etc.links)
    )
    _mount_kernel_interfaces(mounts, tty=spec.tty)
    for name, target in (("tmp", "/tmp"), ("var-tmp", "/var/tmp"), ("home", HOME)):  # noqa: S108  the sandbox's own
        source = private / name
        source.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounts.bind(source, target)
    for empty in ("/var/cache", "/var/lib", "/var/log", "/mnt", "/srv"):
        mounts.make_folder(empty)
    mounts.symlink("/run", "/var/run")


def _mount_kernel_interfaces(mounts: Mounts, *, tty: bool) -> None:
    mounts.proc("/proc")
    for name in _READ_ONLY_IN_PROC:
        source = Path("/proc", name)
        if source.exists():
            mounts.bind_read_only(source, source)
    for name in _HIDDEN_IN_PROC:
        source = Path("/proc", name)
        if source.exists():
            mounts.hide(source, is_folder=source.is_dir())
    mounts.dev("/dev")
    if tty:
        # Bubblewrap shows the command's terminal there; see `command_line`.
        mounts.hide("/dev/console", is_folder=False)
    mounts.tmpfs("/dev/shm", size=_DEVICE_MEMORY, mode=0o1777)  # noqa: S108  the sandbox's own
    # Bubblewrap's /dev is a tmpfs without a size limit. The devices in it are mounts of their own.
    mounts.remount_read_only("/dev")
    mounts.tmpfs("/run", size=_RUN_MEMORY)


def _users(spec: RunSpec) -> dict[str, str]:
    return {
        "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"agent:x:{UID}:{UID}:{_full_name(spec)}:{HOME}:{shell()}\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\ntty:x:5:\nagent:x:{UID}:\nnogroup:x:65534:\n",
    }


def _full_name(spec: RunSpec) -> str:
    """Return the name that git takes where an agent keeps it from all configurations."""
    if spec.agent is None:
        return "agent"
    name = git_identity.name_and_email(workspace_folder(spec))[0]
    return re.sub(r"[:,&\x00-\x1f\x7f]", "", name) or "agent"  # passwd(5), getpwent(3)


def address(spec: RunSpec) -> dict[str, str]:
    """Return the variable by which git knows the user's address in the same case."""
    if spec.agent is None:
        return {}
    email = git_identity.name_and_email(workspace_folder(spec))[1]
    return {"EMAIL": email} if email else {}


def shell() -> str:
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
