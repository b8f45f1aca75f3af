"""The shim from its start to its release."""

from __future__ import annotations

import os
import socket

from moat.shim import linux
from moat.shim.launch import spawn
from moat.shim.launch.sandbox import Sandbox
from moat.shim.launch.sessions import Sessions
from moat.shim.netns import namespace
from moat.shim.netns.sockets import Sockets
from moat.shim.protocol import OLDEST, VERSION
from moat.shim.server import Server

TYPE_CHECKING = False  # see the package: importing `typing` costs start-up time
if TYPE_CHECKING:
    from typing import Any

    from moat.shim.server import Answer


def main(listener: int, exits: str, container: tuple[int, ...] = ()) -> None:
    """Serve supervisors on the descriptor `listener` until one of them releases the shim.

    Exit statuses go to the folder `exits`. The sandbox is a `container` if that has a pidfd
    of its init and the descriptor that keeps it alive; otherwise the shim makes one.
    """
    for inherited in container:
        os.set_inheritable(inherited, False)
    # The listener was inherited from the supervisor, and must not go on to a command.
    os.set_inheritable(listener, False)
    linux.adopt_orphans()
    spawn.raise_descriptor_limit()
    sandbox = Sandbox(*container) if container else None
    problem = _isolate(sandbox)
    with socket.socket(fileno=listener) as sock:
        server = Server(sock, problem)
        sessions = Sessions(server, exits, sandbox)

        def hello(_message: dict[str, Any], _fds: list[int]) -> Answer:
            versions = {"version": VERSION, "oldest": OLDEST}
            return versions | {"pid": os.getpid(), "sessions": sessions.states()}, []

        def release(_message: dict[str, Any], _fds: list[int]) -> Answer:
            if sessions.running:
                raise ValueError("a command is still running")
            server.stop()
            return {}, []

        server.on_disconnect = sessions.clean_up_unsupervised
        server.commands = {"hello": hello, "release": release}
        server.commands |= Sockets().commands | sessions.commands
        server.serve()


def _isolate(sandbox: Sandbox | None) -> str | None:
    """Enter the namespaces; return why that failed, for the supervisor to explain."""
    try:
        if sandbox is None:
            namespace.isolate()
        else:
            namespace.join(sandbox.init)
        linux.forbid_dumps()
    except OSError as exc:
        return f"{exc.errno} {exc}"
    return None
