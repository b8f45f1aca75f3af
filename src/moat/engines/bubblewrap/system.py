"""The machine's own software and interfaces, as the sandbox sees them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.engines.bubblewrap.etc_files import Own, show_settings

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

# What the kernel tells about the whole machine. Container engines hide most of it; page maps and
# slab lists are for root alone, which the user who runs Moat may be.
_HIDDEN_IN_PROC: Final = (
    *("acpi", "asound", "driver", "fs", "kcore", "key-users", "keys", "kmsg", "kpagecgroup"),
    *("kpagecount", "kpageflags", "latency_stats", "mtrr", "sched_debug", "scsi", "slabinfo"),
    *("sysrq-trigger", "timer_list", "vmallocinfo"),
)
# The network namespace belongs to the user who runs Moat, and so do its settings below sys/net: the
# command, which is that user too, could write them. Bubblewrap covers this where it deems it
# writable, and misses it.
_READ_ONLY_IN_PROC: Final = ("bus", "irq", "pressure", "sys")

_DEVICE_MEMORY: Final = 64 * 1024 * 1024
_RUN_MEMORY: Final = 16 * 1024 * 1024


def show_system(mounts: Mounts, spec: RunSpec, private: Path, own: Own) -> None:
    """Everything but the user's own: software, /etc, kernel interfaces, places for scratch.

    `private` gets the folders behind the sandbox's home, /etc and /tmp. `own`: what of /etc is the
    run's own besides its users and names.
    """
    for folder in SYSTEM_FOLDERS:
        if folder.is_symlink():
            mounts.link(folder.readlink(), folder)
        elif folder.is_dir():
            mounts.read_only(folder, folder)
    show_settings(mounts, private, Own({**_users_and_names(spec), **own.files}, own.links))
    _show_kernel(mounts, tty=spec.tty)
    for name, target in (("tmp", "/tmp"), ("var-tmp", "/var/tmp"), ("home", HOME)):  # noqa: S108  the sandbox's own
        source = private / name
        source.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounts.writable(source, target)
    for empty in ("/var/cache", "/var/lib", "/var/log", "/mnt", "/srv"):
        mounts.folder(empty)
    mounts.link("/run", "/var/run")


def _show_kernel(mounts: Mounts, *, tty: bool) -> None:
    mounts.processes("/proc")
    for name in _READ_ONLY_IN_PROC:
        source = Path("/proc", name)
        if source.exists():
            mounts.read_only(source, source)
    for name in _HIDDEN_IN_PROC:
        source = Path("/proc", name)
        if source.exists():
            mounts.hide(source, is_folder=source.is_dir())
    mounts.devices("/dev")
    if tty:
        # Bubblewrap shows the command's terminal there; see `command_line`.
        mounts.hide("/dev/console", is_folder=False)
    mounts.memory("/dev/shm", size=_DEVICE_MEMORY, mode=0o1777)  # noqa: S108  the sandbox's own
    # Bubblewrap's /dev is a tmpfs without a bound; the devices in it are mounts of their own.
    mounts.freeze("/dev")
    mounts.memory("/run", size=_RUN_MEMORY)


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
        # The host's would tell which machine this is.
        "machine-id": f"{sha256(spec.id.encode()).hexdigest()[:32]}\n",
    }


def hostname(spec: RunSpec) -> str:
    return spec.name[:63]  # RFC 1035 label; the kernel's limit is 64


def shell() -> str:
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
