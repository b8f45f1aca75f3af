"""The spare: a process that supervisors are forked from, and that nothing depends on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.client.connect import spare as client
from moat.platform import sockets
from moat.platform.inotify import FolderWatch
from moat.platform.standing import standing
from moat.supervisor import spare_launch
from moat.supervisor.spare import files
from moat.supervisor.spare_claim import Claim, is_taken
from moat.wire import spare

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "0123456789ab"
MOST_NICE = 19
"""No process gives way more than that (setpriority(2))."""


class Spare:
    """A spare of a store, which has loaded."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / spare.FOLDER
        self.identity = spare_launch.own_identity()
        self.path = self.folder / f"{spare.name_of(self.identity)}.sock"
        self.folder.mkdir(exist_ok=True)
        with FolderWatch(self.folder) as changes:
            self.process = self.start()
            while not self.path.is_socket():
                changes.drain()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-m", "moat.supervisor.spare", self.home]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


@pytest.fixture
def spare_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spare]:
    """A spare, whose answer clients wait for on a busy machine, too."""
    monkeypatch.setattr(client, "_PATIENCE_S", 120.0)
    process = Spare(tmp_path)
    yield process
    process.process.kill()
    process.process.wait()


class Standby:
    """The descriptors of a supervisor to be, as a client holds them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.held, self.go = os.pipe()
        self.answers, self.ready = os.pipe()
        self.log = os.open(home / "log", os.O_WRONLY | os.O_CREAT)

    def fork(self) -> bool:
        environment = {"PATH": os.defpath, "MOAT_HOME": str(self.home)}
        passed = (self.log, self.ready, self.held)
        forked = client.fork(sys.executable, str(self.home), RUN, environment, passed)
        for fd in passed:
            os.close(fd)
        return forked

    def end(self) -> bytes:
        """Say that there will be no run; return what the supervisor answered until its end."""
        os.close(self.go)
        with os.fdopen(self.answers, "rb") as answers:
            return answers.read()


def test_a_forked_supervisor_ends_without_its_run(spare_process: Spare) -> None:
    """It stands by for its run like one that was started, and leaves nothing when none comes."""
    standby = Standby(spare_process.home)
    assert standby.fork()
    assert standby.end() == b""
    assert {each.name for each in spare_process.home.iterdir()} == {spare.FOLDER, "log"}


def test_a_forked_supervisor_goes_on_once_its_run_exists(spare_process: Spare) -> None:
    """The word that a client gives reaches it, and its errors reach the log that came with it."""
    standby = Standby(spare_process.home)
    assert standby.fork()
    os.write(standby.go, spare.GO)
    assert standby.end() == b""
    assert "FileNotFoundError" in (spare_process.home / "log").read_text()  # of the run's folder


def test_a_killed_spare_is_as_good_as_none(spare_process: Spare) -> None:
    """Its socket is left, and nobody waits for an answer; the next spare takes its place."""
    spare_process.process.kill()
    spare_process.process.wait()
    assert spare_process.path.is_socket()
    assert not Standby(spare_process.home).fork()
    spare_process.path.unlink()
    following = Spare(spare_process.home)
    try:
        assert Standby(spare_process.home).fork()
    finally:
        following.process.kill()
        following.process.wait()


def test_a_stopped_spare_keeps_nobody(
    spare_process: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that gets no answer starts a process of its own."""
    monkeypatch.setattr(client, "_PATIENCE_S", 0.01)
    spare_process.process.send_signal(signal.SIGSTOP)
    assert not Standby(spare_process.home).fork()


def test_a_client_that_has_given_up_gets_nothing(spare_process: Spare) -> None:
    """A spare that was stopped forks for it when it goes on, and nothing comes of that process."""
    request = spare.Request(spare_process.identity, str(spare_process.home), RUN, {})
    folder, name = spare_process.folder, spare_process.path.name
    spare_process.process.send_signal(signal.SIGSTOP)
    with sockets.connect(folder, name, socket.SOCK_SEQPACKET) as sock:
        sock.send(request.encode())
    spare_process.process.send_signal(signal.SIGCONT)
    standby = Standby(spare_process.home)
    assert standby.fork()  # it serves the next one
    assert standby.end() == b""
    assert is_taken(spare_process.home, spare_process.identity)


@pytest.mark.parametrize("message", [b"", spare.PASSED, b"x"])
def test_a_client_that_passes_nothing_gets_nothing(spare_process: Spare, message: bytes) -> None:
    """The process that was forked for it ends, and closes its connection."""
    request = spare.Request(spare_process.identity, str(spare_process.home), RUN, {})
    folder, name = spare_process.folder, spare_process.path.name
    with sockets.connect(folder, name, socket.SOCK_SEQPACKET) as sock:
        sock.send(request.encode())
        assert sock.recv(1) == spare.FORKED
        sock.send(message)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    assert Standby(spare_process.home).fork()


def test_there_is_one_spare_of_a_kind(spare_process: Spare) -> None:
    """A second one ends at once, before it has loaded anything."""
    assert is_taken(spare_process.home, spare_process.identity)
    assert spare_process.start().wait() == 0
    assert Standby(spare_process.home).fork()


def test_a_spare_is_one_thread_with_nothing_of_the_user(spare_process: Spare) -> None:
    """Only then is a fork of it like a new process."""
    process = Path(f"/proc/{spare_process.process.pid}")
    assert len(list((process / "task").iterdir())) == 1
    assert (process / "cwd").readlink() == Path("/")
    assert spare_process.path.stat().st_mode & 0o777 == 0o600


def test_a_request_for_another_kind_of_process_is_not_answered(spare_process: Spare) -> None:
    """Whoever has other rights, limits or control groups gets a process of that kind instead."""
    standby = Standby(spare_process.home)
    request = spare.Request(spare_process.identity + "x", str(spare_process.home), RUN, {})
    folder, name = spare_process.folder, spare_process.path.name
    with sockets.connect(folder, name, socket.SOCK_SEQPACKET) as sock:
        sock.send(request.encode())
        assert sock.recv(1) == b""
    assert standby.fork()  # it serves the next one


@pytest.mark.parametrize("message", [b"", b"x", b"\0" * 9, b"\xff" * 99])
def test_nonsense_is_not_answered(spare_process: Spare, message: bytes) -> None:
    """It goes on serving those who make sense."""
    folder, name = spare_process.folder, spare_process.path.name
    with sockets.connect(folder, name, socket.SOCK_SEQPACKET) as sock:
        sock.send(message)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    assert Standby(spare_process.home).fork()


def test_a_spare_ends_when_its_socket_is_removed(spare_process: Spare) -> None:
    """Whoever deletes a store gets rid of its spare, too."""
    spare_process.path.unlink()
    assert spare_process.process.wait() == 0
    assert not is_taken(spare_process.home, spare_process.identity)
    assert not list(spare_process.folder.iterdir())


def test_files_of_killed_spares_are_removed(tmp_path: Path) -> None:
    """Those of a spare that lives are left alone."""
    dead, living, own = (Claim.take(tmp_path, name) for name in ("dead", "living", "own"))
    assert dead is not None
    assert living is not None
    assert own is not None
    (dead.folder / dead.socket).touch()
    os.close(dead.fileno())
    own.remove_dead()
    assert not is_taken(tmp_path, "dead")
    assert is_taken(tmp_path, "living")
    assert {each.suffix for each in dead.folder.iterdir()} == {".lock"}
    assert len(list(dead.folder.iterdir())) == 2
    for claim in (living, own):
        claim.give_up()
    assert not list(own.folder.iterdir())


def test_a_file_that_is_replaced_or_written_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update no supervisor is forked from what was there before."""
    module = tmp_path / "module.py"
    module.write_text("x = 1\n")
    monkeypatch.setattr(files, "_loaded", lambda: {str(module)})
    before = module.stat().st_ctime_ns
    loaded = files.LoadedFiles(before + 1)
    assert loaded.are_current
    assert not files.LoadedFiles(before).are_current  # it may have been written while it was loaded
    new = tmp_path / "new"
    new.write_text("x = 2\n")
    new.replace(module)
    assert not loaded.are_current
    module.unlink()
    assert not loaded.are_current


def test_a_request_is_read_as_it_was_written() -> None:
    """Also one with paths and values that are not UTF-8."""
    given = spare.Request("id", "/h\udce9", RUN, {"HOME": "/h\udce9", "X": "a=b"})
    read = spare.Request.decode(given.encode())
    assert vars(read) == vars(given)


def test_a_standing_differs_with_what_children_would_inherit() -> None:
    """Such as a limit, a priority or a umask; it is the same in every process of a shell."""
    show = "from moat.platform.standing import standing; print(hash(standing()))"

    def of_child(*before: str) -> str:
        # Who starts the tests may have another umask, and ignore the signal already.
        plain = ("os.umask(0o22)", "signal.signal(signal.SIGQUIT, signal.SIG_DFL)")
        code = ["import os, resource, signal", *plain, *before, show]
        done = subprocess.run(
            [sys.executable, "-c", "; ".join(code)],
            env=os.environ | {"PYTHONHASHSEED": "0"},
            check=True,
            capture_output=True,
        )
        return done.stdout.decode()

    assert standing()
    several, nice = len(os.sched_getaffinity(0)) > 1, os.nice(0) < MOST_NICE
    same = of_child()
    assert of_child("signal.signal(signal.SIGHUP, signal.SIG_IGN)", "os.setsid()") == same
    for change in (
        "os.umask(0o77)",
        *(("os.nice(1)",) if nice else ()),
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 40, 1 << 40))",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))",
        "signal.signal(signal.SIGQUIT, signal.SIG_IGN)",
        *(("os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])",) if several else ()),
    ):
        assert of_child(change) != same, change
