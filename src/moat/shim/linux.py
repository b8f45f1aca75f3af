"""System calls that Python 3.11 doesn't wrap. Each raises `OSError` on failure."""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# mount_setattr(2), open_tree(2), move_mount(2): the numbers are those of every architecture.
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 0x00000004
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4

# The three flags of a mount have the same values in statvfs(3).
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND = 32, 4096
_MS_REC, _MS_PRIVATE, _MS_SLAVE = 1 << 14, 1 << 18, 1 << 19

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, which pass over the permissions of files.
_CAP_DAC = 1 << 1 | 1 << 2

_libc = ctypes.CDLL(None, use_errno=True)


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    _check(_libc.setns(fd, flags), "setns")


def unshare_mounts() -> None:
    """Move this process into a mount namespace of its own, whose mounts appear in no other."""
    unshare(CLONE_NEWNS)
    flags = ctypes.c_ulong(_MS_REC | _MS_SLAVE)
    _check(_libc.mount(None, b"/", None, flags, None), "mount --make-rslave /")


def mount_read_only(path: str) -> None:
    """Mount a file or device over itself, so that its inode can't be changed through this path.

    A device can still be read and written: what a read-only mount refuses is chmod, utime and the like.
    """
    place = os.fsencode(path)
    _check(_libc.mount(place, place, None, ctypes.c_ulong(_MS_BIND), None), f"mount {path}")
    # The kernel lets nobody drop what a more privileged namespace has forbidden on a mount.
    kept = os.statvfs(path).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    flags = ctypes.c_ulong(_MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)
    _check(_libc.mount(None, place, None, flags, None), f"remount {path}")


def detached_mount(fd: int, *, writable: bool) -> int:
    """Return a mount of what `fd` has open, with all that is mounted below, that is nowhere yet.

    Nothing in it lends rights or is a device. It is private: what is mounted below it later appears at
    no other place, and most of all not in the folder that it shows.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE
    tree: int = _libc.syscall(_SYS_OPEN_TREE, fd, b"", flags)
    _check(min(tree, 0), "open_tree")
    attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV | (0 if writable else _MOUNT_ATTR_RDONLY)
    wanted = _MountAttributes(attr_set=attributes, propagation=_MS_PRIVATE)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    where = _AT_EMPTY_PATH | _AT_RECURSIVE
    try:
        done = _libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", where, ctypes.byref(wanted), size)
        _check(done, "mount_setattr")
    except BaseException:
        os.close(tree)
        raise
    return tree


def attach_mount(tree: int, path: str) -> None:
    """Put a detached mount on a path of this process's mount namespace."""
    place = os.fsencode(path)
    done = _libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, place, _MOVE_MOUNT_F_EMPTY_PATH)
    _check(done, f"mount {path}")


def mount_link(link: str, target: str) -> None:
    """Mount a symbolic link itself, not what it leads to, over a file."""
    fd = os.open(link, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        tree = detached_mount(fd, writable=True)
    finally:
        os.close(fd)
    try:
        attach_mount(tree, target)
    finally:
        os.close(tree)


def remount_terminals(most: int) -> None:
    """Let this mount namespace's /dev/pts have so many ptys; of all of them the kernel has few."""
    options = b"mode=620,ptmxmode=666,max=%d" % most
    flags = ctypes.c_ulong(_MS_REMOUNT | _MS_NOSUID | _MS_NOEXEC)
    _check(_libc.mount(None, b"/dev/pts", None, flags, options), "remount /dev/pts")


def _prctl(option: int, argument: int, call: str, extra: object = 0) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(argument), extra, 0, 0), call)


def forbid_dumps() -> None:
    """Forbid cores, ptrace and /proc/PID/{exe,fd,mem} of this process to whoever lacks CAP_SYS_PTRACE.

    The process that joins a sandbox for `exec` is visible there before it becomes the command. Without
    this, a hostile process could open its executable, the host's Python, for writing
    (CVE-2019-5736 in runc).
    """
    _prctl(_PR_SET_DUMPABLE, 0, "prctl(PR_SET_DUMPABLE)")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with(parent: int) -> None:
    """Have this process killed when `parent`, its parent, dies; at once if that has happened already.

    bubblewrap asks for the same (--die-with-parent), but not from its first moment.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def drop_privileges(user: tuple[int, int] | None = None) -> None:
    """Give up every capability for good, as `bwrap --cap-drop ALL` does for the first command.

    With `user`, a user's and a group's number, become that user in no other group.
    """
    # Read as bytes: the codec of another encoding would be loaded now, from a file that the sandbox
    # may not show.
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:  # noqa: PTH123  pathlib: 5 ms of the start
        last = int(file.read())
    for capability in range(last + 1):
        _prctl(_PR_CAPBSET_DROP, capability, "prctl(PR_CAPBSET_DROP)")
    if user is not None:
        os.setgroups([])
        os.setresgid(user[1], user[1], user[1])
        os.setresuid(user[0], user[0], user[0])
    header = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "prctl(PR_SET_NO_NEW_PRIVS)")


def respect_file_modes() -> None:
    """Have the kernel look at the permissions of files again, until the next exec.

    The shim is root in its own user namespace. To exec a program that its user may not read is a way to
    forbid dumps of that program (as `forbid_dumps` does of this one), but not for those whom
    permissions don't bind.
    """
    header = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low halves first, then high
    _check(_libc.capget(ctypes.byref(header), ctypes.byref(sets)), "capget")
    sets[0] &= ~_CAP_DAC
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")


def filter_syscalls(program: bytes) -> None:
    """Install a seccomp filter, an array of `struct sock_filter`, for good."""
    code = ctypes.create_string_buffer(program, len(program))
    prog = _SockFprog(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, "prctl(PR_SET_SECCOMP)", ctypes.byref(prog))
