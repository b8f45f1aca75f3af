"""The system calls that a sandboxed command may not make, as a seccomp program.

Pure. `program` compiles the table `POLICY` into classic BPF: an array of `struct sock_filter`, little
endian, which is what `bwrap --seccomp FD` reads.

Calls that the table doesn't name are allowed. The walls of the sandbox are its namespaces and its
lack of capabilities. This filter removes what reaches around them (keyrings, socket families that
know no network namespace, the terminal's input queue) and what exposes much of the kernel to attack
(bpf, io_uring, new user namespaces). Calls newer than the table fail with ENOSYS, as on an older
kernel.

The kernel passes each argument as 64 bits and drops the upper half where it uses an `int`. So every
condition looks at the lower half only: bits set above must not change a decision.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT
from typing import TYPE_CHECKING, Final

from moat.engines.under_shim.syscalls import NEWEST, numbers
from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that holds if (argument & mask) is among `values`; if `negated`, if it isn't."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with `errno`, given if all conditions hold."""

    errno: int
    conditions: tuple[Condition, ...] = ()


def _is(argument: int, *values: int, mask: int = 0xFFFFFFFF) -> Condition:
    return Condition(argument, values, mask)


def _is_not(argument: int, *values: int) -> Condition:
    return Condition(argument, values, negated=True)


def _has_any(argument: int, bits: int) -> Condition:
    return Condition(argument, (0,), mask=bits, negated=True)


# sched.h: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. 0x80 is NEWTIME for unshare only;
# for clone it is part of the exit signal.
_NEW_NAMESPACES: Final = 0x7E020000
_NEW_TIME: Final = 0x80

_CREATE: Final = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE: open ignores its mode otherwise
_SETUID: Final = 0o4000
_FORMAT: Final = 0o170000
_DEVICES: Final = (0o020000, 0o060000)  # character, block

_PR_SET_DUMPABLE: Final = 4
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE: Final = 0
_NO_FAMILY: Final = Refusal(EAFNOSUPPORT, (_is_not(0, _AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK),))

# The personalities that container engines allow (Linux, UNAME26, PER_LINUX32, and the query
# 0xFFFFFFFF), and ADDR_NO_RANDOMIZE, which debuggers and `setarch -R` set for their own children.
_PERSONALITIES: Final = (0, 0x8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF)


def _refuse(errno: int, *conditions: Condition) -> tuple[Refusal, ...]:
    return (Refusal(errno, conditions),)


# Calls whose arguments are inspected come first, for they are frequent. Since Linux 5.11 the kernel
# itself caches which calls are allowed whatever their arguments.
_INSPECTED: Final[Mapping[str, tuple[Refusal, ...]]] = {
    # A setuid file left in the workspace would lend its owner's rights to everybody who starts it on
    # the host. Setgid is allowed: shared git repositories set it on folders.
    "openat": _refuse(EPERM, _has_any(2, _CREATE), _has_any(3, _SETUID)),
    "open": _refuse(EPERM, _has_any(1, _CREATE), _has_any(2, _SETUID)),
    "creat": _refuse(EPERM, _has_any(1, _SETUID)),
    "chmod": _refuse(EPERM, _has_any(1, _SETUID)),
    "fchmod": _refuse(EPERM, _has_any(1, _SETUID)),
    "fchmodat": _refuse(EPERM, _has_any(2, _SETUID)),
    "fchmodat2": _refuse(EPERM, _has_any(2, _SETUID)),
    "mknod": (
        Refusal(EPERM, (_has_any(1, _SETUID),)),
        Refusal(EPERM, (_is(1, *_DEVICES, mask=_FORMAT),)),
    ),
    "mknodat": (
        Refusal(EPERM, (_has_any(2, _SETUID),)),
        Refusal(EPERM, (_is(2, *_DEVICES, mask=_FORMAT),)),
    ),
    # These type into the terminal, drive the console, and load a line discipline.
    "ioctl": _refuse(EPERM, _is(1, _TIOCSTI, _TIOCLINUX, _TIOCSETD)),
    # AF_VSOCK reaches the hypervisor and AF_ALG the kernel's ciphers, whatever the network namespace.
    "socket": (
        _NO_FAMILY,
        Refusal(EPROTONOSUPPORT, (_is(0, _AF_NETLINK), _is_not(2, _NETLINK_ROUTE))),
    ),
    "socketpair": (_NO_FAMILY,),
    "clone": _refuse(EPERM, _has_any(0, _NEW_NAMESPACES)),
    "unshare": _refuse(EPERM, _has_any(0, _NEW_NAMESPACES | _NEW_TIME)),
    # A debugger may trace a program that it starts (TRACEME), but not attach to a running process.
    "ptrace": _refuse(EPERM, _is(0, _PTRACE_ATTACH, _PTRACE_SEIZE)),
    "personality": _refuse(EPERM, _is_not(0, *_PERSONALITIES)),
}

# Their arguments lie in memory, which a filter can't read. Every libc falls back to the older call.
_UNREADABLE: Final = ("clone3", "openat2")

# Removed from today's kernels, or of no use to any current program.
_OBSOLETE: Final = (
    *("_sysctl", "create_module", "get_kernel_syms", "lookup_dcookie", "modify_ldt"),
    *("nfsservctl", "query_module", "sysfs", "uselib", "ustat"),
)

_FORBIDDEN: Final = (
    # the kernel's keyrings, which know no namespace
    *("add_key", "keyctl", "request_key"),
    # other processes' memory and descriptors
    *("kcmp", "pidfd_getfd", "process_vm_readv", "process_vm_writev"),
    # mounts: what the sandbox sees
    *("chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount"),
    *("open_by_handle_at", "open_tree", "open_tree_attr", "pivot_root", "setns", "umount2"),
    # large and often exploited parts of the kernel; io_uring also bypasses this filter
    *("bpf", "fanotify_init", "perf_event_open", "userfaultfd"),
    *("io_uring_enter", "io_uring_register", "io_uring_setup"),
    # the machine
    *("acct", "adjtimex", "clock_adjtime", "clock_settime", "delete_module", "finit_module"),
    *("init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "quotactl", "quotactl_fd"),
    *("reboot", "setdomainname", "sethostname", "settimeofday", "swapoff", "swapon", "syslog"),
    "vhangup",
)

POLICY: Final[Mapping[str, tuple[Refusal, ...]]] = {
    **_INSPECTED,
    **dict.fromkeys((*_UNREADABLE, *_OBSOLETE), _refuse(ENOSYS)),
    **dict.fromkeys(_FORBIDDEN, _refuse(EPERM)),
}

PINNED: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "sched_setaffinity": _refuse(EPERM),
}
"""An addition for commands whose limit of processors is kept by affinity (`rlimits.Bounds`)."""

INIT_POLICY: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "prctl": _refuse(0, _is(0, _PR_SET_DUMPABLE), _is(1, 1)),
}
"""The policy for bubblewrap itself: the call that would let the sandbox look into its init does nothing.

`shim.launch.start` begins bubblewrap as a process that can't be dumped or opened, and bubblewrap,
which knows nothing of that, asks for the opposite. The answer is 0, as if it had been done.
"""

# linux/audit.h: AUDIT_ARCH_*
_ARCHITECTURES: Final[Mapping[str, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# linux/bpf_common.h and linux/filter.h: struct sock_filter { u16 code; u8 jt, jf; u32 k; }
_LOAD, _AND, _IF_EQUAL, _IF_NOT_BELOW, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_INSTRUCTION: Final = struct.Struct("<HBBI")

# linux/seccomp.h: struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000  # the whole process
_ERRNO: Final = 0x00050000


def program(machine: str, policy: Mapping[str, tuple[Refusal, ...]] = POLICY) -> bytes:
    """Return the filter for `machine`, as `os.uname` names it; raises `EngineError` for others."""
    try:
        architecture, known = _ARCHITECTURES[machine], numbers(machine)
    except KeyError:
        raise EngineError(
            f"no system call filter for the processor {machine}",
            "moat's bubblewrap engine runs on x86_64 and aarch64",
        ) from None
    code = [
        _op(_LOAD, _ARCHITECTURE_AT),
        # i386 calls have other numbers than the table's, so nothing here would catch them.
        _op(_IF_EQUAL, architecture, then=1),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER_AT),
        # This also refuses the x32 ABI, whose numbers have bit 30 set, and -1, a tracer's "skip".
        _op(_IF_NOT_BELOW, NEWEST + 1, otherwise=1),
        _op(_RETURN, _ERRNO | ENOSYS),
    ]
    for name, refusals in policy.items():
        if name in known:
            code += _case(known[name], refusals)
    return b"".join([*code, _op(_RETURN, _ALLOW)])


def _op(code: int, k: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Encode an instruction; `then` and `otherwise` count the instructions that a jump skips."""
    return _INSTRUCTION.pack(code, then, otherwise, k)


def _case(number: int, refusals: tuple[Refusal, ...]) -> list[bytes]:
    """Decide the call `number`; any other call skips this code with its number still loaded."""
    body = [op for refusal in refusals for op in _refusal(refusal)]
    if refusals[-1].conditions:
        body.append(_op(_RETURN, _ALLOW))
    return [_op(_IF_EQUAL, number, otherwise=len(body)), *body]


def _refusal(refusal: Refusal) -> list[bytes]:
    code = [_op(_RETURN, _ERRNO | refusal.errno)]
    for condition in reversed(refusal.conditions):
        code = [*_condition(condition, skipped=len(code)), *code]
    return code


def _condition(condition: Condition, *, skipped: int) -> list[bytes]:
    """Fall through if the condition holds; otherwise jump over the next `skipped` instructions."""
    tests: list[bytes] = []
    for behind, value in enumerate(reversed(condition.values)):
        # `behind` is the number of this condition's tests that come after this one.
        if condition.negated:
            tests.insert(0, _op(_IF_EQUAL, value, then=skipped + behind))
        else:
            is_last = behind == 0
            tests.insert(0, _op(_IF_EQUAL, value, then=behind, otherwise=skipped if is_last else 0))
    load = _op(_LOAD, _ARGUMENTS_AT + 8 * condition.argument)
    return [load, _op(_AND, condition.mask), *tests]
