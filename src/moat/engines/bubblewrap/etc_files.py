"""`/etc` as the sandbox sees it: what everybody may read of the host's, and some files of its own.

It is not the host's with covers over its secrets: a cover is a mount on one file, and a tool like
passwd replaces that file by another, which nothing covers. The sandbox gets a copy. Larger folders
are bound whole, if all in them is everybody's; a bound folder costs as much time as copying a dozen
files.

The copy is shared. It lies in the store under the fingerprint of what it was made from (modes, sizes,
times), read-only to every sandbox, so that a start looks at some hundred files instead of writing
them. A run names the copy it uses in its private folder; one that no run names is removed when
another is made. What differs from run to run is bound over empty places at the top of the copy;
from deeper places links lead there.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.paths import moat_home
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moat.engines.bubblewrap.mounts import Mounts

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

_USED: Final = "settings"
"""A link in a run's private folder to the copy that it uses."""


@dataclass(frozen=True, slots=True)
class Own:
    """What of /etc is the run's own instead of the host's, by path relative to /etc."""

    files: Mapping[str, str | bytes]
    """Contents. The folder of a file that lies in one holds nothing of the host's."""
    links: Mapping[str, str]
    """Links to them, from anywhere in the host's folders, and where each leads."""


class _Entry(NamedTuple):
    """Something of /etc that is shown. Strings, not `Path`: this is on the way to every start."""

    path: str
    """Relative to /etc."""
    kind: str
    """"file", "link", "folder" to be filled, "bound" whole, or "blank": empty, to be covered."""
    mark: tuple[int, ...] | str
    """What changes when it does; of a link, where it leads."""


def show_settings(mounts: Mounts, private: Path, own: Own) -> None:
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in own.files.items():
        file = own_file(private, path)
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    tops = {path.partition("/")[0]: "/" in path for path in own.files}
    entries = _entries(tops, own.links)
    mounts.read_only(_shared_copy(entries, private), "/etc")
    for entry in entries:
        if entry.kind == "bound":
            mounts.read_only(Path("/etc", entry.path), f"/etc/{entry.path}")
    for name in tops:
        mounts.read_only(own_file(private, name), f"/etc/{name}")


def own_file(private: Path, path: str) -> Path:
    """Where on the host the run's own file of /etc lies."""
    return private / "etc" / path


def _entries(tops: Mapping[str, bool], links: Mapping[str, str]) -> list[_Entry]:
    """All that /etc shows, folders before what is in them.

    `tops`: the names at its top that are covered, and whether each is a folder.
    """
    # A folder in which a link is to lie can't be bound: nothing can be put into the host's.
    filled = frozenset(above for path in links for above in _above(path))
    listed: list[_Entry] = []
    _add_public(listed, _listing("/etc"), "", _SECRET_NAMES | _SERVICES | tops.keys(), filled)
    entries = [entry for entry in listed if entry.path not in links]
    missing = filled.difference(entry.path for entry in entries)
    entries += [_Entry(path, "folder", (0o755,)) for path in sorted(missing)]
    entries += [_Entry(path, "link", target) for path, target in sorted(links.items())]
    for name, is_folder in sorted(tops.items()):
        entries.append(_Entry(name, "folder" if is_folder else "blank", (0o755,)))
    return entries


def _above(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents if parent.parts]


def _shared_copy(entries: list[_Entry], private: Path) -> Path:
    """The copy of these entries, made if it is not there, and from now on in use by this run."""
    marks = "\0".join([f"{path}\0{kind}\0{mark}" for path, kind, mark in entries])
    fingerprint = sha256(os.fsencode(marks)).hexdigest()[:24]
    copies = moat_home() / "etc"
    copies.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = copies / fingerprint
    with lock.locked(copies / "lock"):
        if not copy.is_dir():
            _remove_unused(copies)
            unfinished = copies / "new"
            _make(entries, unfinished)
            unfinished.rename(copy)
        used = private / _USED
        used.unlink(missing_ok=True)
        used.symlink_to(copy)
    return copy


def _remove_unused(copies: Path) -> None:
    in_use = {
        os.path.basename(os.readlink(link))  # noqa: PTH115, PTH119  as above
        for link in copies.parent.glob(f"runs/*/private/{_USED}")
    }
    for path in copies.iterdir():
        if path.is_dir() and path.name not in in_use:
            shutil.rmtree(path)


def _make(entries: list[_Entry], target: Path) -> None:
    target.mkdir(mode=0o755)
    for entry in entries:
        copy = f"{target}/{entry.path}"
        if isinstance(entry.mark, str):
            os.symlink(entry.mark, copy)  # noqa: PTH211  as above
        elif entry.kind == "file":
            _copy_file(f"/etc/{entry.path}", copy, mode=entry.mark[0])
        elif entry.kind == "blank":
            Path(copy).touch()
        else:
            os.mkdir(copy)  # noqa: PTH102  as above


def _add_public(
    found: list[_Entry],
    listing: Iterable[os.DirEntry[str]],
    below: str,
    left_out: frozenset[str],
    filled: frozenset[str],
) -> None:
    """What everybody may read.

    Whoever runs Moat may be able to read more: root, or a member of the group `shadow`. So the
    mode's bits for others decide, not what opens.
    """
    for entry in listing:
        path = f"{below}{entry.name}"
        if entry.name in left_out:
            continue
        if entry.is_symlink():
            found.append(_Entry(path, "link", os.readlink(entry.path)))  # noqa: PTH115  as above
            continue
        status = entry.stat(follow_symlinks=False)
        mode = status.st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            mark = (mode, status.st_ino, status.st_size, status.st_mtime_ns)
            found.append(_Entry(path, "file", mark))
        elif stat.S_ISDIR(mode) and _for_everybody(mode):
            inside = _listing(entry.path)
            if path in filled or len(inside) < _SMALL_FOLDER or not _is_public(inside):
                found.append(_Entry(path, "folder", (mode,)))
                _add_public(found, inside, f"{path}/", _SECRET_NAMES, filled)
            else:
                found.append(_Entry(path, "bound", (mode,)))


def _listing(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=attrgetter("name"))


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


def _is_public(listing: Iterable[os.DirEntry[str]]) -> bool:
    """Whether everybody may read all of this and what lies below, and no name speaks of secrets."""
    for entry in listing:
        if entry.name in _SECRET_NAMES:
            return False
        if entry.is_symlink():
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if not _for_everybody(mode) or not _is_public(_listing(entry.path)):
                return False
        elif not mode & stat.S_IROTH:
            return False
    return True
