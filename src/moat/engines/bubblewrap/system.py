"""The machine's software and the kernel's interfaces, as the sandbox sees them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.etc_files import EtcFiles, mount_etc

if TYPE_CHECKING:
    from moat.engines.bubblewrap.mounts import Mounts
    from moat.spec import RunSpec

SYSTEM_FOLDERS: Final = tuple(
    Path(name)
    for name in (
        *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"),
        *("/nix/store", "/gnu/store"),
    )
)

STANDARD_PATH: Final = (
    *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"),
)

UID: Final = 1000
HOME: Final = "/home/agent"

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

TERMINALS: Final = 256
"""Ptys of a sandbox. All of a machine's together are some thousands (kernel.pty.max)."""

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
    mount_etc(mounts, private, EtcFiles({**_users_and_names(spec), **etc.files}, etc.links))
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


def _users_and_names(spec: RunSpec) -> dict[str, str]:
    host = hostname(spec)
    return {
        "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"agent:x:{UID}:{UID}:agent:{HOME}:{shell()}\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\ntty:x:5:\nagent:x:{UID}:\nnogroup:x:65534:\n",
        "hostname": f"{host}\n",
        "hosts": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {host}\n",
        "resolv.conf": "nameserver 127.0.0.1\n",
        # The host's own would identify the machine.
        "machine-id": f"{sha256(spec.id.encode()).hexdigest()[:32]}\n",
    }


def hostname(spec: RunSpec) -> str:
    return spec.name[:63]  # RFC 1035 label; the kernel's limit is 64


def shell() -> str:
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
