"""The shim's loop: answer the supervisor, notice what happens, outlive everybody.

One message is one JSON object in one packet (SOCK_SEQPACKET), descriptors beside it. Each command
of the supervisor gets one answer, in order; events may come between. Only one supervisor exists at
a time (it holds the run's lock), so a new connection replaces the old one.
"""

from __future__ import annotations

import array
import json
import os
import select
import selectors
import signal
import socket
import struct
import sys
import time

from moat.shim import linux, network, sessions, spawn

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Answer = tuple[dict[str, Any], list[int]]

VERSION = 1
MAIN = "main"
_MAX_MESSAGE = 192 * 1024
_MAX_DESCRIPTORS = 250  # SCM_MAX_FD is 253


def main(listener: int, exits: str) -> None:
    """Serves until the supervisor says that nothing is needed any more."""
    # It came over spawn, and must not go on to a command.
    os.set_inheritable(listener, False)
    linux.adopt_orphans()
    problem: str | None = None
    try:
        network.isolate()
        linux.forbid_dumps()
    except OSError as exc:
        problem = f"{exc.errno} {exc}"
    with socket.socket(fileno=listener) as sock:
        Shim(sock, exits, problem).serve()


class Shim:
    """State: the sessions, the current supervisor's connection, and nothing else."""

    def __init__(self, listener: socket.socket, exits: str, problem: str | None) -> None:
        self._listener = listener
        self._exits = exits
        self._problem = problem
        self._sessions: dict[str, sessions.Session] = {}
        self._supervisor: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._done = False
        self._afterwards: list[str] = []
        """What a supervisor does once the sandbox is gone, as a program for when there is none."""
        self._listening: dict[tuple[str, str, str, int], socket.socket] = {}
        self._seen: socket.socket | None = None
        self._handed_over: list[socket.socket] = []
        self._wakeup = _child_signals()
        self._commands: dict[str, Callable[[dict[str, Any], list[int]], Answer]] = {
            "hello": self._hello,
            "launch": self._launch,
            "exec": self._exec,
            "streams": self._streams,
            "signal": self._signal,
            "kill": self._kill,
            "close_stdin": self._close_stdin,
            "listen": self._listen,
            "dial": self._dial,
            "packets": self._packets,
            "forget": self._forget,
            "release": self._release,
        }

    def serve(self) -> None:
        self._watch(self._listener.fileno(), self._accept)
        self._watch(self._wakeup, self._child_ended)
        while not self._done:
            for key, _ in self._selector.select():
                try:
                    key.data()
                except Exception as exc:  # noqa: BLE001  the command's life depends on the shim's
                    sys.excepthook(type(exc), exc, exc.__traceback__)

    # --- the supervisor's connection ---

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        _pid, uid, _gid = struct.unpack(
            "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        )
        if uid != os.geteuid():
            connection.close()
            return
        self._disconnect()
        connection.setblocking(False)
        self._supervisor = connection
        self._watch(connection.fileno(), self._read)

    def _disconnect(self) -> None:
        if self._supervisor is not None:
            self._selector.unregister(self._supervisor)
            self._supervisor.close()
            self._supervisor = None

    def _read(self) -> None:
        supervisor = self._supervisor
        assert supervisor is not None  # noqa: S101  it is watched only while it is there
        try:
            data, fds = _receive(supervisor)
        except BlockingIOError:
            return  # the event was the last supervisor's
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            self._disconnect()
            self._look_after()
            return
        try:
            answer, handed = self._obey(json.loads(data), fds)
        except Exception as exc:  # noqa: BLE001  one answer less would shift all that follow
            answer, handed = {"error": str(exc), "errno": getattr(exc, "errno", None)}, []
        finally:
            for fd in fds:
                os.close(fd)
        self._send({"answer": True} | answer, handed)
        while self._handed_over:
            self._handed_over.pop().close()

    def _obey(self, message: dict[str, Any], fds: list[int]) -> Answer:
        if self._problem is not None:
            self._done = True
            return {"error": self._problem, "isolated": False}, []
        return self._commands[message["do"]](message, fds)

    def _send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        if self._supervisor is None:
            return
        try:
            socket.send_fds(self._supervisor, [json.dumps(message).encode()], fds or [])
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            # Gone, or it has left hundreds of messages unread: either way the next one asks anew.
            self._disconnect()

    # --- commands: each takes the message and its descriptors, and gives the answer and its own ---

    def _hello(self, _message: dict[str, Any], _fds: list[int]) -> Answer:
        known = {name: session.state for name, session in self._sessions.items()}
        return {"version": VERSION, "pid": os.getpid(), "sessions": known}, []

    def _launch(self, message: dict[str, Any], fds: list[int]) -> Answer:
        if MAIN not in self._sessions:
            self._afterwards = message["afterwards"]
            self._add(sessions.launch(MAIN, message, fds))
        return self._streams({"session": MAIN}, [])

    def _exec(self, message: dict[str, Any], fds: list[int]) -> Answer:
        # The wish comes in a memory file: an environment may be larger than a packet.
        with os.fdopen(os.dup(fds[0]), encoding="utf-8") as file:
            wish = json.load(file)
        self._add(sessions.enter(message["session"], wish, self._sessions[MAIN]))
        return self._streams(message, [])

    def _streams(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        fds = self._sessions[message["session"]].fds
        return {"fds": list(fds)}, list(fds.values())

    def _signal(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        self._sessions[message["session"]].signal(message["signal"])
        return {}, []

    def _kill(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        self._sessions[message["session"]].kill()
        return {}, []

    def _close_stdin(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        self._sessions[message["session"]].close_stdin()
        return {}, []

    def _listen(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        """The same socket for each supervisor: connections wait in its backlog in between."""
        key = (message["family"], message["kind"], message["address"], message["port"])
        if key not in self._listening:
            self._listening[key] = network.listen(*key)
        return {}, [self._listening[key].fileno()]

    def _packets(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        """The same socket for each supervisor, too."""
        if self._seen is None:
            self._seen = network.packets(bytes.fromhex(message["filter"]))
        return {}, [self._seen.fileno()]

    def _dial(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        sock = network.dial(message["address"], message["port"])
        self._handed_over.append(sock)
        return {}, [sock.fileno()]

    def _forget(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        """A session is drained and recorded: its descriptors are needed no more."""
        session = self._sessions[message["session"]]
        if session.exit_code is None:
            raise ValueError(f"session {session.name} has not ended")
        del self._sessions[session.name]
        session.close()
        return {}, []

    def _release(self, _message: dict[str, Any], _fds: list[int]) -> Answer:
        if any(session.exit_code is None for session in self._sessions.values()):
            raise ValueError("a command is still running")
        self._done = True
        return {}, []

    # --- what happens ---

    def _add(self, session: sessions.Session) -> None:
        self._sessions[session.name] = session
        self._watch(session.started.fileno(), lambda: self._began(session))
        if session.info is not None:
            self._watch(session.info, lambda: self._sandbox_began(session))

    def _sandbox_began(self, session: sessions.Session) -> None:
        if session.info is not None:
            fd = session.info
            if session.take_init():
                self._selector.unregister(fd)

    def _began(self, session: sessions.Session) -> None:
        """The command is about to begin, or it never will."""
        if session.started.fileno() == -1:
            return
        self._selector.unregister(session.started)
        if session.take_pid():
            self._send({"event": "started", "session": session.name, "pid": session.pid})
        elif session.joins:
            self._failed(session)
        session.started.close()

    def _child_ended(self) -> None:
        os.read(self._wakeup, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # What the dead one said before it died comes first.
            for session in list(self._sessions.values()):
                if session.pid is None and self._readable(session.started):
                    self._began(session)
            for session in list(self._sessions.values()):
                if session.reaped_as == pid:
                    self._command_ended(session, os.waitstatus_to_exitcode(status))

    def _command_ended(self, session: sessions.Session, code: int) -> None:
        if session.pid is None:
            self._failed(session)
            return
        while session.info is not None:  # bubblewrap is over, so the end of what it says is there
            self._sandbox_began(session)
        code = code if code >= 0 else 128 - code
        if session.init_pidfd is None:
            self._exited(session, code)
            return
        # bubblewrap reports the end of the command; its sandbox is gone, and all that wrote to
        # our pipes with it, when the init is.
        init = session.init_pidfd

        def sandbox_ended() -> None:
            self._selector.unregister(init)
            self._exited(session, code)

        self._watch(init, sandbox_ended)

    def _failed(self, session: sessions.Session) -> None:
        complaint = session.complaint()
        del self._sessions[session.name]
        while session.info is not None:
            self._sandbox_began(session)
        session.close()
        self._send({"event": "failed", "session": session.name, "message": complaint})

    def _exited(self, session: sessions.Session, code: int) -> None:
        session.exit_code = code
        self._record(session)
        self._send({"event": "exited", "session": session.name, "exit_code": code})
        self._look_after()

    def _look_after(self) -> None:
        """The sandbox is gone and no supervisor is there: what it left must not wait for the next."""
        main = self._sessions.get(MAIN)
        if self._supervisor is None and main is not None and main.exit_code is not None:
            spawn.start(self._afterwards)

    def _record(self, session: sessions.Session) -> None:
        """Writes the exit status to disk, so that it is known whatever happens to everybody.

        A full disk is no reason to die: the status stays here and each supervisor is told it.
        """
        path = f"{self._exits}/{session.name}.json"
        content = {"exit_code": session.exit_code, "time": time.time()}
        try:
            fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(fd, json.dumps(content).encode())
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(f"{path}.new", path)  # noqa: PTH104  pathlib is 5 ms of the shim's start
        except OSError as exc:
            sys.stderr.write(f"moat shim: exit status not written: {exc}\n")

    def _watch(self, fd: int, act: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, act)

    @staticmethod
    def _readable(sock: socket.socket) -> bool:
        poller = select.poll()
        if sock.fileno() != -1:
            poller.register(sock, select.POLLIN)
        return bool(poller.poll(0))


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One message and its descriptors, close-on-exec.

    `socket.recv_fds` drops its `flags` (CPython 3.11), and without MSG_CMSG_CLOEXEC every command
    would inherit the host's folders that come this way for bubblewrap.
    """
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(
        _MAX_MESSAGE, socket.CMSG_LEN(_MAX_DESCRIPTORS * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def _noted(_number: int, _frame: object) -> None:
    """A handler must be there for the kernel to interrupt us; the wakeup descriptor does the rest."""


def _child_signals() -> int:
    """A descriptor that becomes readable when a child has ended."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _noted)
    return read
