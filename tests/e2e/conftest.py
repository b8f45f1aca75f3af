"""Driving the installed `moat` from outside, as users do: commands and real terminals.

`moat` runs commands in a store of the test's own and afterwards takes care that nothing of it is left:
a test fails if a process of its runs survives their destruction. `terminal` opens terminals. Nothing
here sleeps: every wait is for something to read or for a process to end, and has a timeout.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.container_engines import NAMES, ContainerEngine, shared
from tests.e2e.ordinary_user import OrdinaryUser

from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BUBBLEWRAP = "bubblewrap"
ENGINES = (BUBBLEWRAP, *NAMES)
ON_EVERY_ENGINE = pytest.mark.parametrize("engine", ENGINES, indirect=True)
COMMAND = str(Path(sys.executable).with_name("moat"))
BYTE_LOGGER = Path(__file__).with_name("log_bytes.py")
LEADER = Path(__file__).with_name("session_leader.py")
TIMEOUT_S = 120.0
"""How long something may take on a machine that is busy with other things."""
# Terminals show nothing for it, and no program ends its output like this.
END_OF_OUTPUT = bytes(32)


class Moat:
    """The command, with a store of its own; `environment` is what it runs in."""

    def __init__(self, home: Path, engine: ContainerEngine | None = None) -> None:
        """Runs have a container of `engine`, or without one a sandbox of bubblewrap."""
        self.command = COMMAND
        self.engine = engine
        self.home = home
        self.workspace = home.with_name("work")
        """Where commands are given, unless the test says another place."""
        self.workspace.mkdir(exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "MOAT_HOME": str(home),
            # Each run has a key of its store's vault: the developer's own keyring is no place for it.
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null/bus",
        } | dict(engine.environment if engine is not None else {})

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes = b"",
        timeout: float = TIMEOUT_S,
        cwd: Path | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """One command without a terminal, to its end. For output that is no text: `binary`."""
        done = self.binary(*arguments, stdin=stdin, timeout=timeout, cwd=cwd, **environment)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def binary(
        self,
        *arguments: str | Path,
        stdin: str | bytes = b"",
        timeout: float = TIMEOUT_S,
        cwd: Path | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [COMMAND, *self.words(arguments)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=timeout,
            cwd=cwd or self.workspace,
            env=self.environment | environment,
            check=False,
        )

    def start(self, *arguments: str | Path, **popen: Any) -> subprocess.Popen[bytes]:
        """A command whose streams the test holds; it is the test's to end."""
        settings: dict[str, Any] = {"cwd": self.workspace, "env": self.environment}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen([COMMAND, *self.words(arguments)], **(settings | pipes | popen))

    def words(self, arguments: Sequence[str | Path]) -> list[str]:
        """The arguments of a command; `run` is told the engine, unless the test says another."""
        words = list(map(str, arguments))
        if self.engine is not None and words[:1] == ["run"] and "--engine" not in words:
            words[1:1] = self.engine.options
        return words

    def ok(self, *arguments: str | Path, **options: Any) -> str:
        """Standard output of a command that must succeed."""
        done = self(*arguments, **options)
        assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.ok(*arguments))

    def inspect(self, run: str) -> dict[str, Any]:
        return self.json("inspect", run)

    def runs(self) -> list[dict[str, Any]]:
        return self.json("list", "-a", "--json")

    def supervisor(self, run: str) -> int:
        """The pid of the run's latest supervisor."""
        return self.inspect(run)["supervisor"]["pid"]

    def trust_projects(self) -> None:
        """The settings of a user whom nobody asks, for tests about what a trusted project gets."""
        self.write_settings("trust_project: always\n")

    def write_settings(self, text: str) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        (self.home / "config.yaml").write_text(text)

    def kill(self, run: str, *what: str) -> None:
        """SIGKILL for `supervisor`, `shim` or both, in this order."""
        found = self.inspect(run)
        for each in what:
            end(found[each]["pid"])


class Terminal:
    """A terminal window: a real pty, a session leader that stays, and a program in its foreground.

    What the program writes is read only while the test waits for something; `screen` is what a user
    would see then. Queries are answered, as a terminal does.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        size: tuple[int, int] = (80, 24),
        cwd: Path | None = None,
    ) -> None:
        """`size`: columns and rows."""
        self.output = bytearray()
        """All that was read."""
        self.screen = Screen(TerminalSize(*size), scrollback=10_000)
        self._seen = 0
        self._reports = b""
        self._keyboard, self._tty = os.openpty()
        self.resize(*size)
        os.set_blocking(self._keyboard, False)
        self._report, report = os.pipe()
        control, self._control = os.pipe()
        self._leader = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LEADER), str(report), str(control), *command],
            stdin=self._tty,
            stdout=self._tty,
            stderr=self._tty,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            pass_fds=(report, control),
        )
        os.close(report)
        os.close(control)
        self.pid = int(self._reported(rb"started (\d+)\n", TIMEOUT_S)[1])
        self._process = os.pidfd_open(self.pid)

    # --- the keyboard, the window ---

    def send(self, data: bytes) -> None:
        """Types; what the program does not take yet waits in the pty."""
        deadline = time.monotonic() + TIMEOUT_S
        while data:
            try:
                data = data[os.write(self._keyboard, data) :]
            except BlockingIOError:
                self._wait_for(deadline, "the terminal to take input", writing=True)

    def resize(self, columns: int, rows: int, pixels: tuple[int, int] = (0, 0)) -> None:
        fcntl.ioctl(self._tty, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, *pixels))
        self.screen.resize(TerminalSize(columns, rows))

    def kill(self, number: int = signal.SIGKILL) -> None:
        signal.pidfd_send_signal(self._process, number)

    def hang_up(self) -> None:
        """Closes the window, and waits until its program has ended by it."""
        for fd in (self._tty, self._keyboard):
            os.close(fd)
        self._tty = self._keyboard = -1
        if not select.select([self._process], [], [], TIMEOUT_S)[0]:
            pytest.fail("the program goes on without its window")

    def foreground(self) -> None:
        """`fg`: continues the stopped program."""
        os.write(self._control, b"f")

    def take_foreground(self) -> None:
        """The shell takes the terminal, without having stopped the program."""
        self._leader.send_signal(signal.SIGUSR1)
        while os.tcgetpgrp(self._keyboard) != self._leader.pid:
            self.linger(0.01)

    def read_as_shell(self, size: int) -> bytes:
        """What was typed, read as the shell does that has the foreground."""
        data = b""
        while len(data) < size and select.select([self._tty], [], [], TIMEOUT_S)[0]:
            data += os.read(self._tty, size - len(data))
        return data

    def termios(self) -> list[Any]:
        """The terminal's settings, as `stty` shows them."""
        return termios.tcgetattr(self._tty)

    def set_termios(self, settings: list[Any]) -> None:
        termios.tcsetattr(self._tty, termios.TCSANOW, settings)

    # --- waiting ---

    def expect(self, pattern: bytes, timeout: float = TIMEOUT_S) -> re.Match[bytes]:
        """The next match of a regular expression in the raw output, after the last one's end."""
        compiled = re.compile(pattern, re.DOTALL)
        deadline = time.monotonic() + timeout
        while not (match := compiled.search(self.output, self._seen)):
            self._wait_for(deadline, f"{pattern!r}")
        self._seen = match.end()
        return match

    def skip(self) -> None:
        """Have `expect` look at what is read from now on alone."""
        self._seen = len(self.output)

    def shows(self, text: str, timeout: float = TIMEOUT_S) -> str:
        """Waits until `text` is on the screen, which is returned."""
        self.until(lambda: text in self.screen.text(), repr(text), timeout)
        return self.screen.text()

    def until(
        self, condition: Callable[[], bool], what: str = "a condition", timeout: float = TIMEOUT_S
    ) -> None:
        """Reads on until the condition holds; it is asked after each piece of output."""
        deadline = time.monotonic() + timeout
        while not condition():
            self._wait_for(deadline, what)

    def set_back_to(self, settings: list[Any]) -> None:
        """Until the settings are these, which is the last that is done to a terminal.

        Nothing tells of a change: this looks again and again. All output is read then.
        """
        deadline = time.monotonic() + TIMEOUT_S
        while self.termios() != settings and time.monotonic() < deadline:
            self.linger(0.01)
        assert self.termios() == settings
        self._read_all()

    def keys_are_read(self) -> None:
        """Until all that was typed is read. Nothing tells of that: this looks again and again."""
        deadline = time.monotonic() + TIMEOUT_S
        while any(fcntl.ioctl(self._tty, termios.FIONREAD, bytes(4))):
            if time.monotonic() > deadline:
                pytest.fail("nobody reads the keyboard")
            self.linger(0.01)

    def linger(self, seconds: float) -> None:
        """Reads on for so long. For pauses that are what is tested, such as those between keys."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._keyboard], [], [], left)[0]:
                self._read()

    def wait(self, timeout: float = TIMEOUT_S) -> int:
        """Until the program ends: its exit code, or -n for signal n. All output is read before."""
        code = int(self._reported(rb"ended (-?\d+)\n", timeout)[1])
        self._read_all()  # a supervisor may still give the terminal back
        return code

    def wait_stopped(self, timeout: float = TIMEOUT_S) -> int:
        """Until the program is stopped; by which signal. All output is read before."""
        number = int(self._reported(rb"stopped (\d+)\n", timeout)[1])
        self._read_all()
        return number

    # --- the end ---

    def close(self) -> None:
        """Closes the window; whatever still runs in it gets SIGHUP from the kernel."""
        for fd in (self._control, self._tty, self._keyboard, self._report):
            if fd != -1:
                os.close(fd)
        _kill(self._process)
        self._leader.wait(TIMEOUT_S)
        os.close(self._process)
        self.screen.close()

    # --- inside ---

    def _reported(self, pattern: bytes, timeout: float) -> re.Match[bytes]:
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self._reports)):
            self._wait_for(deadline, f"the session leader to say {pattern!r}")
        self._reports = self._reports[match.end() :]
        return match

    def _wait_for(self, deadline: float, what: str, *, writing: bool = False) -> None:
        """One event: output, a report, or (`writing`) room for input. Fails at the deadline."""
        wanted = [self._keyboard] if writing else []
        left = max(0.0, deadline - time.monotonic())
        readable, writable, _ = select.select([self._keyboard, self._report], wanted, [], left)
        if not readable and not writable:
            pytest.fail(f"waited in vain for {what}. The screen:\n{self.screen.text()}")
        if self._report in readable:
            report = os.read(self._report, 4096)
            if not report:
                pytest.fail(f"the session leader died. The screen:\n{self.screen.text()}")
            self._reports += report
        self._read()

    def _read_all(self) -> None:
        """The kernel hands on what was written in its own time: what we write comes after it."""
        os.write(self._tty, END_OF_OUTPUT)
        self.until(lambda: END_OF_OUTPUT in self.output, "the last of the output")
        start = self.output.find(END_OF_OUTPUT)
        del self.output[start : start + len(END_OF_OUTPUT)]

    def _read(self) -> None:
        try:
            data = os.read(self._keyboard, 1 << 16)
        except BlockingIOError:
            return
        self.output += data
        self.screen.feed(data)
        self.send(self.screen.take_replies())


class ByteLog:
    """A run of a raw-mode program that logs what it is typed, begun in a window."""

    def __init__(self, moat: Moat, window: Terminal, log: Path) -> None:
        self._moat = moat
        self._log = log
        self.window = window
        window.expect(rb"ready")

    def got(self, data: bytes, timeout: float = TIMEOUT_S) -> None:
        """Waits until the program has said that it got these bytes in one read."""
        self.window.expect(rb"got %b;" % data.hex().encode(), timeout)

    def typed(self) -> bytes:
        """Ends the program from another place; all that it got before."""
        self._moat.ok("send", "x", "END!")
        self._moat.ok("wait", "x")
        return self._log.read_bytes().removesuffix(b"END!")

    def typed_here(self, window: Terminal | None = None) -> bytes:
        """The same by typing on in the window, or another one, behind all that was typed there."""
        window = window or self.window
        window.send(b"END!")
        window.expect(rb"bye")
        assert window.wait() == 0
        return self._log.read_bytes().removesuffix(b"END!")


@pytest.fixture
def byte_log(moat: Moat, terminal: Callable[..., Terminal]) -> Callable[..., ByteLog]:
    """`byte_log("--escape-keys", "ctrl-p")`: a run `x` of the program, with these options."""

    def start(*options: str) -> ByteLog:
        shutil.copy(BYTE_LOGGER, moat.workspace)
        command = ("python3", BYTE_LOGGER.name, "typed")
        window = terminal("run", "-i", "-n", "x", *options, "--", *command)
        return ByteLog(moat, window, moat.workspace / "typed")

    return start


@pytest.fixture(scope="session", autouse=True)
def _sandboxes_work() -> None:
    """Without sandboxes nothing here can be tested, and a skipped test would say that it was."""
    done = subprocess.run([COMMAND, "doctor"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"no sandbox on this machine:\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.fixture(scope="session")
def searched_toolchains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is kept of the search of this machine's toolchains, for all tests: the first takes long."""
    return tmp_path_factory.mktemp("toolchains")


@pytest.fixture
def moat_home(searched_toolchains: Path) -> Iterator[Path]:
    """A store. Its path is short: not every test is about long socket paths."""
    folder = Path(tempfile.mkdtemp(prefix="m-"))
    (folder / "home").mkdir(mode=0o700)
    (folder / "home" / "toolchains").symlink_to(searched_toolchains)
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def container_engine(testrun_uid: str) -> Iterator[Callable[[str], ContainerEngine]]:
    """`container_engine("docker")`: an engine that runs, the same for all tests."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(shared(name, testrun_uid[:8])))


@pytest.fixture
def engine(
    request: pytest.FixtureRequest, container_engine: Callable[[str], ContainerEngine]
) -> ContainerEngine | None:
    """The engine of the test's runs; `None` is bubblewrap, as it is without `ON_EVERY_ENGINE`."""
    return engine_named(getattr(request, "param", BUBBLEWRAP), container_engine)


def engine_named(
    name: str, container_engine: Callable[[str], ContainerEngine]
) -> ContainerEngine | None:
    """The engine of a parameter, `None` for bubblewrap."""
    return None if name == BUBBLEWRAP else container_engine(name)


@pytest.fixture
def own(engine: ContainerEngine) -> Iterator[ContainerEngine]:
    """A daemon of the test's own, which it may stop and kill."""
    folder = Path(tempfile.mkdtemp(prefix="m-"))
    daemon = ContainerEngine(engine.name, folder / "e")
    daemon.start()
    daemon.load_files("tiny", {}, {})
    yield daemon
    daemon.stop()
    folder.rmdir()


@pytest.fixture
def moat(moat_home: Path, engine: ContainerEngine | None) -> Iterator[Moat]:
    """`moat(...)`; in the end all of its runs are destroyed and must leave no process or container."""
    command = Moat(moat_home, engine)
    yield command
    family = Family(moat_home)
    try:
        complaints = [
            done.stderr
            for run in (command.runs() if (moat_home / "moat.db").exists() else [])
            if (done := command("destroy", "--force", run["id"])).returncode != 0
        ]
        survivors = family.survivors()
    finally:
        family.kill()
    assert not complaints
    assert not survivors, f"left behind by the runs of this test: {survivors}"
    assert engine is None or engine.containers(moat_home) == []


@pytest.fixture
def terminal(moat: Moat) -> Iterator[Callable[..., Terminal]]:
    """`terminal("attach", "name", size=(80, 24))`: a window in which `moat attach name` runs."""
    opened: list[Terminal] = []

    def window(
        *arguments: str | Path,
        size: tuple[int, int] = (80, 24),
        cwd: Path | None = None,
        command: str = COMMAND,
        **environment: str,
    ) -> Terminal:
        argv = [command, *moat.words(arguments)]
        opened.append(Terminal(argv, moat.environment | environment, size, cwd or moat.workspace))
        return opened[-1]

    yield window
    for each in opened:
        each.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder under git, to be a workspace."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "README").write_text("a project\n")
    for arguments in (
        ("init", "-q", "-b", "main"),
        ("add", "."),
        ("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "Begin"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


class Family:
    """The processes of a store's runs now: those that name it in their arguments (supervisors and
    shims) and their descendants (sandboxes and commands). Spares are none of them."""

    def __init__(self, home: Path) -> None:
        self._members: dict[int, str] = {}
        """pidfd: arguments"""
        self.spares: list[int] = []
        parents: dict[int, int] = {}
        arguments: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                status = (entry / "stat").read_text()
                words = (entry / "cmdline").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            if is_spare(status, words):
                self.spares += [int(entry.name)] if str(home) in words else []
                continue
            arguments[int(entry.name)] = words
            parents[int(entry.name)] = int(status.rpartition(") ")[2].split()[1])
        family = {pid for pid, words in arguments.items() if "moat" in words and str(home) in words}
        while grown := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= grown
        for pid in family:
            with suppress(ProcessLookupError):
                self._members[os.pidfd_open(pid)] = arguments[pid].replace("\0", " ")

    def survivors(self) -> list[str]:
        """Those that don't end."""
        deadline = time.monotonic() + TIMEOUT_S
        return [
            words
            for process, words in self._members.items()
            if not select.select([process], [], [], max(0.0, deadline - time.monotonic()))[0]
        ]

    def kill(self) -> None:
        for process in self._members:
            _kill(process)
            os.close(process)
        for spare in self.spares:
            with suppress(ProcessLookupError):  # it may have ended by itself
                end(spare)


def is_spare(status: str, arguments: str) -> bool:
    """Tell by a process's stat and arguments, which supervisors share that were forked from a spare."""
    started = "\0moat.supervisor.spare\0" in arguments  # it may not have its name yet
    return "(moat-spare)" in status or (started and "(moat-supervisor)" not in status)


def end(pid: int, number: int = signal.SIGKILL) -> None:
    """Signals a process, which must end by it; returns when it has."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, number)
        if not select.select([process], [], [], TIMEOUT_S)[0]:
            pytest.fail(f"process {pid} survived signal {number}")
    finally:
        os.close(process)


def _kill(process: int) -> None:
    """`process` is a pidfd."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


@pytest.fixture
def ordinary_user() -> Iterator[OrdinaryUser]:
    folder = Path(tempfile.mkdtemp(prefix="m-"))
    folder.chmod(0o755)
    user = OrdinaryUser.of(folder)
    yield user
    family = Family(user.store)
    assert family.survivors() == []  # the supervisor is a moment behind its client
    family.kill()  # and a spare deletes files as long as it lives
    shutil.rmtree(folder)
