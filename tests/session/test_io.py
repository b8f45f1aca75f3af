"""A program's terminal and pipes, real ones, with this test as the program."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from typing import TYPE_CHECKING

import pytest

from moat.platform import tty
from moat.session.io import Moved, PipeIO, TerminalIO
from moat.session.journal.index import Stream
from moat.session.journal.journal import Journal
from moat.session.journal.reader import JournalReader
from moat.spec import PixelSize, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moat.session.io import ProgramIO

OUT, ERR = Stream.STDOUT, Stream.STDERR
TIMEOUT_S = 120


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", TerminalSize(), 1 << 40)
    yield journal
    journal.close()


def recorded(journal: Journal, stream: Stream = OUT) -> bytes:
    return b"".join(data for _, data in JournalReader(journal.reader.folder).chunks(stream))


class FullJournal:
    """A journal whose disk has no room."""

    def take(self, _stream: Stream, _pipe: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class Program:
    """The program's side; what it leaves open is closed in the end."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def keep(self, fd: int) -> int:
        self._open.add(fd)
        return fd

    def close(self, fd: int) -> None:
        self._open.remove(fd)
        os.close(fd)

    def close_all(self) -> None:
        for fd in tuple(self._open):
            self.close(fd)


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    yield program
    program.close_all()


async def turn(watch: Callable[[Callable[[], None]], None]) -> None:
    """Wait until the loop has called what is given to `watch`."""
    called = asyncio.Event()
    watch(called.set)
    async with asyncio.timeout(TIMEOUT_S):
        await called.wait()


async def readable(io: ProgramIO) -> Stream:
    """Return the first stream that has output."""
    found: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    def note(stream: Stream) -> None:
        io.pause_reading()
        found.set_result(stream)

    io.resume_reading(note)
    async with asyncio.timeout(TIMEOUT_S):
        return await found


def flood(fd: int) -> int:
    """Write until there is no room; return the number of bytes."""
    os.set_blocking(fd, False)
    count = 0
    try:
        while True:
            count += os.write(fd, b"x" * 4096)
    except BlockingIOError:
        return count


def move_all(io: ProgramIO, stream: Stream, journal: Journal) -> Moved:
    while (moved := io.move_to_journal(stream, journal)) is Moved.MORE:
        pass
    return moved


# --- a terminal ---


class Pty:
    """A program behind a terminal: `fd` is its side, raw."""

    def __init__(self, program: Program) -> None:
        master, slave = os.openpty()
        os.set_blocking(master, False)
        self.fd = program.keep(slave)
        self.cooked = termios.tcgetattr(slave)
        termios.tcsetattr(slave, termios.TCSANOW, tty.raw(self.cooked))
        self.io = TerminalIO(asyncio.get_running_loop(), master, *os.pipe2(os.O_NONBLOCK))


@pytest.fixture
async def pty(program: Program) -> Pty:
    return Pty(program)


async def test_output_of_a_terminal_is_recorded(pty: Pty, journal: Journal) -> None:
    """It is reported when it is there, moved, and then there is nothing until more comes."""
    assert (pty.io.tty, pty.io.streams) == (True, (OUT,))
    os.write(pty.fd, b"hello")
    assert await readable(pty.io) is OUT
    assert pty.io.move_to_journal(OUT, journal) is Moved.NOTHING_NOW
    assert recorded(journal) == b"hello"
    assert pty.io.move_to_journal(OUT, journal) is Moved.NOTHING_NOW
    pty.io.close()


async def test_a_flood_from_a_terminal_comes_in_pieces(pty: Pty, journal: Journal) -> None:
    """None of them is larger than the pipe that it goes through."""
    written = 0
    while written < 1 << 18:
        written += flood(pty.fd)
        before = len(recorded(journal))
        pty.io.move_to_journal(OUT, journal)
        assert len(recorded(journal)) - before <= 1 << 16
    move_all(pty.io, OUT, journal)
    assert len(recorded(journal)) == written
    pty.io.close()


async def test_a_terminal_keeps_what_the_disk_has_no_room_for(pty: Pty, journal: Journal) -> None:
    """It waits in the pipe, and behind that in the terminal, in order."""
    os.write(pty.fd, b"one ")
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            pty.io.move_to_journal(OUT, FullJournal())
        os.write(pty.fd, b"two ")
    move_all(pty.io, OUT, journal)
    assert recorded(journal) == b"one two two "
    pty.io.close()


async def test_a_terminal_that_everybody_has_closed(
    pty: Pty, program: Program, journal: Journal
) -> None:
    """What was written before is recorded, then it is at its end, and is watched no more."""
    os.write(pty.fd, b"last words")
    program.close(pty.fd)
    assert await readable(pty.io) is OUT
    assert pty.io.move_to_journal(OUT, journal) is Moved.CLOSED
    assert recorded(journal) == b"last words"
    assert pty.io.move_to_journal(OUT, journal) is Moved.CLOSED
    pty.io.resume_reading(lambda _stream: pytest.fail("there is nothing to read"))
    await asyncio.sleep(0)
    pty.io.close()


async def test_a_closed_terminal_leaves_its_last_words_in_the_pipe(
    pty: Pty, program: Program, journal: Journal
) -> None:
    """A full disk loses them neither then."""
    os.write(pty.fd, b"last words")
    program.close(pty.fd)
    with pytest.raises(OSError, match="No space"):
        pty.io.move_to_journal(OUT, FullJournal())
    assert pty.io.move_to_journal(OUT, journal) is Moved.CLOSED
    assert recorded(journal) == b"last words"
    pty.io.close()


async def test_input_of_a_terminal(pty: Pty) -> None:
    """As much as it has room for; more when the program has read."""
    loop_calls = pty.io.call_when_writable
    assert pty.io.write(memoryview(b"keys")) == 4
    assert os.read(pty.fd, 100) == b"keys"
    count = 0
    while taken := pty.io.write(memoryview(bytes(4096))):
        count += taken
    os.set_blocking(pty.fd, False)

    def reads(called: Callable[[], None]) -> None:
        loop_calls(called)
        read = 0
        while read < count:
            read += len(os.read(pty.fd, 1 << 16))

    await turn(reads)
    loop_calls(None)
    assert pty.io.write(memoryview(b"more")) == 4
    pty.io.close()


async def test_input_of_a_terminal_that_everybody_has_closed(pty: Pty, program: Program) -> None:
    """Nobody will read it: it counts as passed."""
    program.close(pty.fd)
    assert pty.io.write(memoryview(b"to nobody")) == 9
    pty.io.close()


async def test_the_end_of_input_on_a_terminal(pty: Pty) -> None:
    """A program that reads lines gets what the user's ctrl-D would give; a raw one gets nothing."""
    pty.io.close_stdin()
    os.set_blocking(pty.fd, False)
    with pytest.raises(BlockingIOError):
        os.read(pty.fd, 100)
    termios.tcsetattr(pty.fd, termios.TCSANOW, pty.cooked)
    os.set_blocking(pty.fd, True)
    pty.io.close_stdin()
    assert os.read(pty.fd, 100) == b""
    pty.io.close()


async def test_a_terminal_takes_a_size(pty: Pty) -> None:
    """The program's side has it at once."""
    pty.io.resize(TerminalSize(132, 43), PixelSize(1056, 688))
    assert os.get_terminal_size(pty.fd) == (132, 43)
    pty.io.close()


async def test_a_terminal_that_is_released_is_hung_up_by_nobody_else(pty: Pty) -> None:
    """All of its descriptors are closed: here no engine holds others, so the program is hung up."""
    pty.io.resume_reading(lambda _stream: None)
    pty.io.call_when_writable(lambda: None)
    pty.io.close()
    with pytest.raises(OSError, match="Input/output"):
        os.write(pty.fd, b"x")


async def test_errors_of_another_kind_are_not_hidden(program: Program) -> None:
    """Only the one that a closed terminal gives is part of a program's life."""
    wrong = program.keep(os.open(os.devnull, os.O_PATH))
    io = TerminalIO(asyncio.get_running_loop(), os.dup(wrong), *os.pipe2(os.O_NONBLOCK))
    with pytest.raises(OSError, match="Bad file descriptor"):
        io.write(memoryview(b"x"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        io.move_to_journal(OUT, FullJournal())
    io.close()


# --- pipes ---


class Pipes:
    """A program with pipes: `out`, `err` and `stdin` are its ends."""

    def __init__(self, program: Program, *, takes_input: bool = True) -> None:
        ours = {}
        ours[OUT], self.out = os.pipe2(os.O_NONBLOCK)
        ours[ERR], self.err = os.pipe2(os.O_NONBLOCK)
        self.stdin, stdin = os.pipe2(os.O_NONBLOCK)
        for fd in (self.out, self.err, self.stdin):
            program.keep(fd)
        if not takes_input:
            os.close(stdin)
        self.ended = 0
        self.io = PipeIO(
            asyncio.get_running_loop(),
            ours,
            stdin if takes_input else None,
            stdin_closed=self._stdin_closed,
        )

    def _stdin_closed(self) -> None:
        self.ended += 1


@pytest.fixture
async def pipes(program: Program) -> Pipes:
    return Pipes(program)


async def test_output_of_pipes_is_recorded(pipes: Pipes, journal: Journal) -> None:
    """Each stream by itself."""
    assert (pipes.io.tty, pipes.io.streams) == (False, (OUT, ERR))
    os.write(pipes.err, b"warning")
    assert await readable(pipes.io) is ERR
    assert pipes.io.move_to_journal(OUT, journal) is Moved.NOTHING_NOW
    assert pipes.io.move_to_journal(ERR, journal) is Moved.MORE
    assert pipes.io.move_to_journal(ERR, journal) is Moved.NOTHING_NOW
    assert (recorded(journal), recorded(journal, ERR)) == (b"", b"warning")
    pipes.io.close()


async def test_a_pipe_keeps_what_the_disk_has_no_room_for(pipes: Pipes, journal: Journal) -> None:
    """The program waits once it is full."""
    written = flood(pipes.out)
    with pytest.raises(OSError, match="No space"):
        pipes.io.move_to_journal(OUT, FullJournal())
    move_all(pipes.io, OUT, journal)
    assert len(recorded(journal)) == written
    pipes.io.close()


async def test_a_pipe_that_everybody_has_closed(
    pipes: Pipes, program: Program, journal: Journal
) -> None:
    """What was written before is recorded; the other goes on."""
    os.write(pipes.out, b"last words")
    program.close(pipes.out)
    watched: list[Stream] = []
    pipes.io.resume_reading(watched.append)
    assert move_all(pipes.io, OUT, journal) is Moved.CLOSED
    assert recorded(journal) == b"last words"
    assert pipes.io.streams == (ERR,)
    assert pipes.io.move_to_journal(OUT, journal) is Moved.CLOSED
    pipes.io.pause_reading()
    os.write(pipes.err, b"still here")
    assert await readable(pipes.io) is ERR
    pipes.io.close()


async def test_input_of_a_pipe(pipes: Pipes) -> None:
    """As much as it has room for; more when the program has read."""
    assert pipes.io.write(memoryview(b"line\n")) == 5
    while pipes.io.write(memoryview(bytes(4096))):
        pass

    def reads(called: Callable[[], None]) -> None:
        pipes.io.call_when_writable(called)
        os.read(pipes.stdin, 1 << 16)

    await turn(reads)
    pipes.io.call_when_writable(None)
    assert pipes.io.write(memoryview(b"more")) == 4
    pipes.io.close()


async def test_the_end_of_input_of_a_pipe(pipes: Pipes) -> None:
    """Whoever else holds the pipe hears of it, once; later input counts as passed."""
    pipes.io.write(memoryview(b"all"))
    pipes.io.call_when_writable(lambda: None)
    pipes.io.close_stdin()
    pipes.io.close_stdin()
    assert (os.read(pipes.stdin, 100), os.read(pipes.stdin, 100)) == (b"all", b"")
    assert pipes.ended == 1
    assert pipes.io.write(memoryview(b"late")) == 4
    pipes.io.call_when_writable(lambda: pytest.fail("there is nothing to write to"))
    pipes.io.close()


async def test_input_that_the_program_does_not_want(pipes: Pipes, program: Program) -> None:
    """It has closed its standard input: what is sent counts as passed, and the pipe is let go."""
    program.close(pipes.stdin)
    assert pipes.io.write(memoryview(b"to nobody")) == 9
    assert pipes.ended == 1
    pipes.io.close()


async def test_a_program_without_input(program: Program) -> None:
    """Whatever is sent to it counts as passed; and pipes have no size."""
    pipes = Pipes(program, takes_input=False)
    assert pipes.io.write(memoryview(b"x")) == 1
    pipes.io.close_stdin()
    assert pipes.ended == 0
    pipes.io.resize(TerminalSize(10, 10), PixelSize())
    pipes.io.close()


async def test_pipes_that_are_released(pipes: Pipes) -> None:
    """All of their descriptors are closed: here no engine holds others, so the program hears of it."""
    pipes.io.resume_reading(lambda _stream: None)
    pipes.io.resume_reading(lambda _stream: None)
    pipes.io.close()
    assert os.read(pipes.stdin, 1) == b""
    with pytest.raises(BrokenPipeError):
        os.write(pipes.out, b"x")
    assert pipes.ended == 0
