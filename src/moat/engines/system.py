"""The machine's own software and settings, as the sandbox sees them.

`/etc` is not the host's with covers over its secrets: a cover is a mount on one file, and a tool
like passwd replaces that file by another, which nothing covers. The sandbox gets a folder of our
own, into which everybody's files are copied. Larger folders are bound whole, if all in them is
everybody's; a bound folder costs as much time as copying a dozen files.
"""

from __future__ import annotations

import os
import shutil
import stat
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.engines.mounts import Mounts
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

# At any depth of /etc: what often holds secrets although everybody may read it.
_SECRET_NAMES: Final = frozenset(
    (
        *("auth.conf", "auth.conf.d", "boto.cfg", "ddclient.conf", "environment"),
        *("environment.d", "exports", "fstab", "krb5.keytab", "msmtprc", "netrc", "npmrc"),
        *("odbc.ini", "pip.conf", "s3cfg"),
    )
)
# At its top: settings of the machine's services, of its start and of its logins. Nothing in the
# sandbox uses them, and passwords are found there, too.
_SERVICES: Final = frozenset(
    (
        *("NetworkManager", "PackageKit", "apache2", "apparmor", "apparmor.d", "cloud", "cni"),
        *("containerd", "cron.d", "cron.daily", "cron.hourly", "cron.monthly", "cron.weekly"),
        *("dbus-1", "dhcp", "docker", "exim4", "init.d", "kernel", "kubernetes", "ldap"),
        *("letsencrypt", "lighttpd", "logcheck", "logrotate.d", "modprobe.d", "modules-load.d"),
        *("mysql", "needrestart", "network", "nginx", "openvpn", "pam.d", "polkit-1", "postfix"),
        *("postgresql", "ppp", "rancher", "rc0.d", "rc1.d", "rc2.d", "rc3.d", "rc4.d", "rc5.d"),
        *("rc6.d", "rcS.d", "redis", "rsyslog.d", "security", "selinux", "ssmtp", "sudoers.d"),
        *("sysctl.d", "systemd", "tmpfiles.d", "udev", "update-motd.d", "vault.d", "wireguard"),
    )
)

_SMALL_FOLDER: Final = 16
"""Entries up to which a folder is copied instead of bound."""

_DEVICE_MEMORY: Final = 64 * 1024 * 1024
_RUN_MEMORY: Final = 16 * 1024 * 1024


def show_system(mounts: Mounts, spec: RunSpec, private: Path) -> None:
    """Everything but the user's own: software, /etc, kernel interfaces, places for scratch.

    `private` gets the folders behind the sandbox's home, /etc and /tmp.
    """
    for folder in SYSTEM_FOLDERS:
        if folder.is_symlink():
            mounts.link(folder.readlink(), folder)
        elif folder.is_dir():
            mounts.read_only(folder, folder)
    _show_settings(mounts, spec, private / "etc")
    _show_kernel(mounts, private, tty=spec.tty)
    for name, target in (("tmp", "/tmp"), ("var-tmp", "/var/tmp"), ("home", HOME)):  # noqa: S108  the sandbox's own
        source = private / name
        source.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounts.writable(source, target)
    for empty in ("/var/cache", "/var/lib", "/var/log", "/mnt", "/srv"):
        mounts.folder(empty)
    mounts.link("/run", "/var/run")


def blank_file(private: Path) -> Path:
    """An empty file to put in the place of one that is hidden."""
    blank = private / "blank-file"
    blank.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    blank.touch(mode=0o444)
    return blank


def blank_folder(private: Path) -> Path:
    """An empty folder to put in the place of one that is hidden."""
    blank = private / "blank-folder"
    blank.mkdir(mode=0o555, parents=True, exist_ok=True)
    return blank


def _show_kernel(mounts: Mounts, private: Path, *, tty: bool) -> None:
    mounts.processes("/proc")
    for name in _READ_ONLY_IN_PROC:
        source = Path("/proc", name)
        if source.exists():
            mounts.read_only(source, source)
    for name in _HIDDEN_IN_PROC:
        source = Path("/proc", name)
        if source.is_dir():
            mounts.read_only(blank_folder(private), source)
        elif source.exists():
            mounts.read_only(blank_file(private), source)
    mounts.devices("/dev")
    if tty:
        # Where the shim puts the command's terminal; see `shim.sessions`.
        mounts.read_only(blank_file(private), "/dev/console")
    mounts.memory("/dev/shm", size=_DEVICE_MEMORY, mode=0o1777)  # noqa: S108  the sandbox's own
    # Bubblewrap's /dev is a tmpfs without a bound; the devices in it are mounts of their own.
    mounts.freeze("/dev")
    mounts.memory("/run", size=_RUN_MEMORY)


def _show_settings(mounts: Mounts, spec: RunSpec, etc: Path) -> None:
    if etc.exists():
        shutil.rmtree(etc)  # of a supervisor that died before the sandbox began
    etc.mkdir(mode=0o755, parents=True)
    bound = list(_copy_public("/etc", str(etc), left_out=_SECRET_NAMES | _SERVICES))
    for name, text in _own_settings(spec).items():
        (etc / name).unlink(missing_ok=True)
        (etc / name).write_text(text)
    mounts.read_only(etc, "/etc")
    for folder in map(Path, bound):
        mounts.read_only(folder, folder)


def _own_settings(spec: RunSpec) -> dict[str, str]:
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


def _copy_public(source: str, target: str, *, left_out: frozenset[str]) -> Iterator[str]:
    """Copy what everybody may read; yield the folders that are to be bound instead.

    Whoever runs Moat may be able to read more: root, or a member of the group `shadow`. So the
    mode's bits for others decide, not what opens. (Strings, not `Path`: it is half the time, and
    this is on the way to every start.)
    """
    with os.scandir(source) as entries:
        for entry in entries:
            copy = f"{target}/{entry.name}"
            if entry.name in left_out:
                continue
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), copy)  # noqa: PTH115, PTH211  see above
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISREG(mode) and mode & stat.S_IROTH:
                _copy_file(entry.path, copy, mode)
            elif stat.S_ISDIR(mode) and _for_everybody(mode):
                os.mkdir(copy)  # noqa: PTH102  see above
                if _is_small(entry.path) or not _is_public(entry.path):
                    yield from _copy_public(entry.path, copy, left_out=_SECRET_NAMES)
                else:
                    yield entry.path


def _copy_file(source: str, copy: str, mode: int) -> None:
    ours = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o755)
    try:
        theirs = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = 0
            while sent := os.sendfile(ours, theirs, done, 1 << 20):
                done += sent
        finally:
            os.close(theirs)
    finally:
        os.close(ours)


def _for_everybody(folder_mode: int) -> bool:
    return folder_mode & 0o005 == 0o005  # o+rx


def _is_small(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return next(islice(entries, _SMALL_FOLDER, None), None) is None


def _is_public(folder: str) -> bool:
    """Whether everybody may read all that lies below `folder`, and no name speaks of secrets."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in _SECRET_NAMES:
                return False
            if entry.is_symlink():
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                if not _for_everybody(mode) or not _is_public(entry.path):
                    return False
            elif not mode & stat.S_IROTH:
                return False
    return True
