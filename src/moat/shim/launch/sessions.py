"""All sessions of the run: what the supervisor asks of them, and how they begin and end."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from moat.shim.launch import enter, spawn, start
from moat.shim.launch import memory as memory_limit

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    from moat.shim.launch.sandbox import Sandbox
    from moat.shim.launch.session import Session

    Answer = tuple[dict[str, Any], list[int]]

    class Host(Protocol):
        """The loop that these sessions live in, and its way to the supervisor."""

        @property
        def connected(self) -> bool: ...
        def watch(self, fd: int, act: Callable[[], None]) -> None: ...
        def unwatch(self, fd: int) -> None: ...
        def send(self, message: dict[str, Any]) -> None: ...


MAIN = "main"


class Sessions:
    """The run's first command, `main`, and those that joined it."""

    def __init__(self, host: Host, exits: str, sandbox: Sandbox | None = None) -> None:
        """`exits` is the folder for exit statuses.

        Without a `sandbox`, the first command comes with a program that makes one.
        """
        self._sandbox = sandbox
        self._host = host
        self._exits = exits
        self._sessions: dict[str, Session] = {}
        self._clean_up: list[str] = []
        """A program that does what a supervisor does once the sandbox is gone."""
        self._wakeup = _child_signals()
        host.watch(self._wakeup, self._child_ended)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each session, by name."""
        return {name: session.state for name, session in self._sessions.items()}

    @property
    def running(self) -> bool:
        """Tell whether a command has not ended yet."""
        return any(session.exit_code is None for session in self._sessions.values())

    def clean_up_unsupervised(self) -> None:
        """Start the clean-up if the sandbox is gone and no supervisor is there to do it.

        What the run has left in the workspace must not wait until somebody asks about the run.
        """
        main = self._sessions.get(MAIN)
        if not self._host.connected and main is not None and main.exit_code is not None:
            spawn.start(self._clean_up)

    # --- commands: each takes a message with its descriptors, and returns an answer with its own ---

    @property
    def commands(self) -> dict[str, Callable[[dict[str, Any], list[int]], Answer]]:
        return {
            "mount": self._mount,
            "launch": self._launch,
            "exec": self._exec,
            "streams": self._streams,
            "signal": self._signal,
            "kill": self._kill,
            "close_stdin": self._close_stdin,
            "forget": self._forget,
        }

    def _launch(self, message: dict[str, Any], fds: list[int]) -> Answer:
        if MAIN not in self._sessions:
            self._clean_up = message["clean_up"]
            self._add(self._begin(message, fds))
        return self._streams({"session": MAIN}, [])

    def _begin(self, message: dict[str, Any], fds: list[int]) -> Session:
        if self._sandbox is None:
            return start.launch(MAIN, message, fds)
        session = start.join(MAIN, _request(fds[0]), self._sandbox)
        session.init_pidfd = os.dup(self._sandbox.init)
        return session

    def _mount(self, message: dict[str, Any], fds: list[int]) -> Answer:
        if self._sandbox is None:
            raise ValueError("this sandbox is not the shim's to fill")
        self._sandbox.mount(message["mounts"], fds, message["terminals"])
        return {}, []

    def _exec(self, message: dict[str, Any], fds: list[int]) -> Answer:
        sandbox = self._sandbox if self._sandbox is not None else self._sessions[MAIN]
        self._add(start.join(message["session"], _request(fds[0]), sandbox))
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

    def _forget(self, message: dict[str, Any], _fds: list[int]) -> Answer:
        """Drop a session that is drained and recorded."""
        session = self._sessions[message["session"]]
        if session.exit_code is None:
            raise ValueError(f"session {session.name} has not ended")
        del self._sessions[session.name]
        session.close()
        return {}, []

    # --- beginnings and ends ---

    def _add(self, session: Session) -> None:
        self._sessions[session.name] = session
        self._host.watch(session.started.fileno(), lambda: self._began(session))
        if session.info is not None:
            self._host.watch(session.info, lambda: self._sandbox_began(session))

    def _sandbox_began(self, session: Session) -> None:
        if session.info is not None:
            fd = session.info
            if session.take_init():
                self._host.unwatch(fd)

    def _began(self, session: Session) -> None:
        """Report that the command is about to begin, or that it never will."""
        if session.started.fileno() == -1:
            return
        self._host.unwatch(session.started.fileno())
        if session.take_pid():
            self._host.send({"event": "started", "session": session.name, "pid": session.pid})
            # The command waits for `started` to be closed, by this process and by its child.
            if session.pidfd is not None and session.links:
                enter.mount_links(session.pidfd, session.links)
            if session.pidfd is not None and session.bounds is not None:
                enter.bound(session.pidfd, *session.bounds)
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
            # A child's last message comes before its end.
            for session in list(self._sessions.values()):
                if session.pid is None and _is_readable(session.started):
                    self._began(session)
            for session in list(self._sessions.values()):
                if session.reaped_as == pid:
                    self._command_ended(session, os.waitstatus_to_exitcode(status))

    def _command_ended(self, session: Session, code: int) -> None:
        if session.pid is None:
            self._failed(session)
            return
        while session.info is not None:  # its writer has ended, so the last piece is there
            self._sandbox_began(session)
        # While the cgroup is there, which goes with the sandbox.
        memory = code == -signal.SIGKILL and memory_limit.was_used_up(session.cgroups)
        code = code if code >= 0 else 128 - code
        if session.init_pidfd is None:
            self._exited(session, code, out_of_memory=memory)
            return
        # So far the command has ended. Its sandbox is gone, with every process that could write to
        # its pipes, when the sandbox's init is.
        init = session.init_pidfd
        if session.joins:
            # An init that had nothing to do with the command doesn't end with it.
            _kill(init)

        def sandbox_ended() -> None:
            self._host.unwatch(init)
            self._exited(session, code, out_of_memory=memory)

        self._host.watch(init, sandbox_ended)

    def _failed(self, session: Session) -> None:
        message = session.error_message()
        del self._sessions[session.name]
        while session.info is not None:
            self._sandbox_began(session)
        session.close()
        self._host.send({"event": "failed", "session": session.name, "message": message})

    def _exited(self, session: Session, code: int, *, out_of_memory: bool) -> None:
        session.exit_code = code
        self._record(session)
        event = {"event": "exited", "session": session.name, "exit_code": code}
        self._host.send(event | ({"out_of_memory": True} if out_of_memory else {}))
        self.clean_up_unsupervised()

    def _record(self, session: Session) -> None:
        """Write the exit status to disk, so that it is known whatever happens to everybody.

        A full disk is no reason to die: the status stays here, for each supervisor to ask.
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


def _kill(pidfd: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended already


def _request(file: int) -> dict[str, Any]:
    """Read a request from a memory file; an environment may be larger than a packet."""
    with os.fdopen(os.dup(file), encoding="utf-8") as text:
        request: dict[str, Any] = json.load(text)
    return request


def _is_readable(sock: socket.socket) -> bool:
    poller = select.poll()
    if sock.fileno() != -1:
        poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _child_signals() -> int:
    """Return a descriptor that becomes readable when a child has ended."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _on_child)
    return read


def _on_child(_number: int, _frame: object) -> None:
    """Do nothing: a handler must exist for SIGCHLD to reach the wakeup descriptor."""
