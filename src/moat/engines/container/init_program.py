"""The only program that an engine starts in a run's container: a static one of 22 instructions.

An image may have no program at all, and those that it has are not to be trusted with anything. So Moat
brings its own init, which does three things with four system calls:

1. ignores SIGCHLD, so that the kernel reaps whatever ends in the container;
2. opens a FIFO, and so waits until somebody has it open for writing;
3. reads from it, which returns when nobody has it open any more, and exits.

The shim holds the FIFO. When the shim dies, so does the container's init, and the kernel kills all that
is in its pid namespace. Nothing in the container can keep it alive: the FIFO's mode allows no writer.

The code is given as the bytes of each instruction, since no user of Moat needs a compiler.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER: Final = "/.moat"
"""The folder in the container with the two files."""
INIT: Final = "init"
ALIVE: Final = "alive"

_LOAD_ADDRESS: Final = 0x400000
_HEADER_BYTES: Final = 64
_SEGMENT_BYTES: Final = 56
_SIGCHLD: Final = 17
# struct kernel_sigaction { handler = SIG_IGN, flags, restorer, mask }, the same on both processors.
_IGNORE: Final = struct.pack("<QQQQ", 1, 0, 0, 0)
_PATH: Final = f"{FOLDER}/{ALIVE}".encode() + b"\0"


def program(machine: str) -> bytes:
    """Return the program as an ELF file for `machine`, as `os.uname` names it. Raises `EngineError`."""
    if machine not in _MACHINES:
        raise EngineError(
            f"no init for the processor {machine}", "containers need x86_64 or aarch64"
        )
    number, assemble = _MACHINES[machine]
    size = len(assemble(0, 0))
    content = assemble(size, size + len(_IGNORE)) + _IGNORE + _PATH
    start = _HEADER_BYTES + _SEGMENT_BYTES
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")  # 64 bits, little endian
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(identity, 2, number, 1, _LOAD_ADDRESS + start, _HEADER_BYTES, 0, 0),
        *(_HEADER_BYTES, _SEGMENT_BYTES, 1, 0, 0, 0),
    )
    length = start + len(content)
    # One segment that is read and executed (PT_LOAD, PF_R | PF_X).
    segment = struct.pack(
        "<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, length, length, 0x1000
    )
    return header + segment + content


def _x86_64(action: int, path: int) -> bytes:
    """Return the code; `action` and `path` are where the data is, counted from its beginning."""
    code = b""

    def add(*instructions: bytes) -> None:
        nonlocal code
        code += b"".join(instructions)

    def relative(place: int) -> bytes:
        return struct.pack("<i", place - (len(code) + 7))  # from the end of the instruction

    add(b"\x6a\x0d\x58")  # push 13; pop rax: rt_sigaction
    add(b"\x6a", bytes([_SIGCHLD]), b"\x5f")  # push SIGCHLD; pop rdi
    add(b"\x48\x8d\x35" + relative(action))  # lea rsi, [action]
    add(b"\x31\xd2", b"\x6a\x08\x41\x5a", b"\x0f\x05")  # xor edx, edx; push 8; pop r10; syscall
    add(b"\x6a\x02\x58")  # push 2; pop rax: open
    add(b"\x48\x8d\x3d" + relative(path))  # lea rdi, [path]
    add(b"\x31\xf6", b"\x0f\x05")  # xor esi, esi (O_RDONLY); syscall
    add(b"\x89\xc7")  # mov edi, eax
    add(b"\x48\x8d\x74\x24\x80")  # lea rsi, [rsp - 128]
    add(b"\x6a\x01\x5a", b"\x31\xc0", b"\x0f\x05")  # push 1; pop rdx; xor eax, eax (read); syscall
    add(b"\x31\xff", b"\x6a\x3c\x58", b"\x0f\x05")  # xor edi, edi; push 60; pop rax (exit); syscall
    return code


def _aarch64(action: int, path: int) -> bytes:
    """Return the code; `action` and `path` are where the data is, counted from its beginning."""
    code: list[int] = []

    def move(register: int, number: int) -> None:
        code.append(0xD2800000 | number << 5 | register)  # movz

    def address(register: int, place: int) -> None:
        distance = place - 4 * len(code)
        low, high = distance & 3, distance >> 2 & 0x7FFFF
        code.append(0x10000000 | low << 29 | high << 5 | register)  # adr

    def call(number: int) -> None:
        move(8, number)
        code.append(0xD4000001)  # svc #0

    move(0, _SIGCHLD)
    address(1, action)
    move(2, 0)
    move(3, 8)
    call(134)  # rt_sigaction
    code.append(0x92800C60)  # movn x0, #99: AT_FDCWD
    address(1, path)
    move(2, 0)  # O_RDONLY
    call(56)  # openat
    code.append(0xD10203E1)  # sub x1, sp, #128
    move(2, 1)
    call(63)  # read
    move(0, 0)
    call(93)  # exit
    return struct.pack(f"<{len(code)}I", *code)


# linux/elf-em.h: EM_X86_64, EM_AARCH64
_MACHINES: Final[Mapping[str, tuple[int, Callable[[int, int], bytes]]]] = {
    "x86_64": (62, _x86_64),
    "aarch64": (183, _aarch64),
}
