"""The client's side of the router: starting it, asking it, and having it stop.

A client takes the router's lock and binds its sockets, and the router inherits both. So it is known at
once whether the port can be had, nobody waits until the router has loaded, and no connection is lost
meanwhile.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from moat.client.connect import spawn
from moat.errors import MoatError
from moat.platform import sockets
from moat.ports import binding, router_place
from moat.runs import lock
from moat.runs.index import reported

if TYPE_CHECKING:
    import socket
    from pathlib import Path

_ANSWER_S: Final = 10.0
"""Time that a router may take to answer, to load and answer, or to end."""


class RouterStuckError(MoatError):
    """The router lives, and doesn't answer or end."""

    code = "router_stuck"


def ensure(home: Path, port: int) -> int:
    """Return the port of the router, which is started where none lives; `port`: as the user has set.

    A router that lives stays for some minutes more. Raises `PortUnavailableError`, `RouterStuckError`
    and `StoreError`.
    """
    with reported("the router can't be started"), ExitStack() as stack:
        (home / router_place.FOLDER).mkdir(mode=0o700, exist_ok=True)
        try:
            stack.enter_context(lock.locked(router_place.launch_lock(home), _ANSWER_S))
            held = lock.try_lock(router_place.lock_file(home))
            if held is None:
                with suppress(OSError), _control(home):
                    return router_place.last_port(home)
                # It is just ending.
                held = stack.enter_context(lock.locked(router_place.lock_file(home), _ANSWER_S))
            else:
                stack.callback(os.close, held)
        except TimeoutError:
            raise _stuck(home) from None
        return _start(home, port, held)


def status(home: Path) -> dict[str, Any] | None:
    """Return what the router says of itself; `None` where none lives. Raises `RouterStuckError`."""
    return _ask(home, b"")


def stop(home: Path) -> bool:
    """Have the router end, and return whether one lived. Raises `RouterStuckError`."""
    if _ask(home, b"stop\n") is None:
        return False
    try:
        lock.wait_until_free(router_place.lock_file(home), _ANSWER_S)
    except TimeoutError:
        raise _stuck(home) from None
    return True


def _start(home: Path, wanted: int, held: int) -> int:
    """Bind the sockets of the router and start it; `held`: the descriptor with its lock."""
    with ExitStack() as stack:
        listeners = _bind(wanted, router_place.last_port(home))
        for each in listeners:
            stack.callback(each.close)
        port: int = listeners[0].getsockname()[1]
        control = sockets.listen(home / router_place.FOLDER, router_place.CONTROL)
        stack.callback(control.close)
        os.ftruncate(held, 0)
        os.pwrite(held, f"{port}\n".encode(), 0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(router_place.log_file(home), flags, 0o600)
        stack.callback(os.close, log)
        spawn.start(
            ("moat.router", str(home), str(len(listeners))),
            spawn.environment(str(home)),
            (log, log, held, control.fileno(), *(each.fileno() for each in listeners)),
        )
    return port


def _bind(wanted: int, last: int) -> list[socket.socket]:
    """Return the listening sockets; for any free port, those of the last one if it is free still.

    So URLs that are known somewhere go on to be right. Raises `PortUnavailableError`.
    """
    if not wanted and last:
        with suppress(OSError):
            return list(binding.bind_all(binding.LOOPBACK, last).values())
    try:
        return list(binding.bind_free(binding.LOOPBACK, wanted).values())
    except OSError as exc:
        why = os.strerror(exc.errno or 0).lower()
        raise binding.PortUnavailableError(
            f"the router can't have port {wanted}: {why}",
            "Set another in config.yaml, as in router: {port: 8081}; or none: router: {enabled: false}",
        ) from exc


def _control(home: Path) -> socket.socket:
    return sockets.connect(home / router_place.FOLDER, router_place.CONTROL, within=_ANSWER_S)


def _ask(home: Path, word: bytes) -> dict[str, Any] | None:
    try:
        with _control(home) as sock:
            sock.settimeout(_ANSWER_S)
            sock.sendall(word)
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        return json.loads(answer) if answer else None
    except (FileNotFoundError, ConnectionError):
        return None
    except (BlockingIOError, TimeoutError):
        raise _stuck(home) from None


def _stuck(home: Path) -> RouterStuckError:
    return RouterStuckError(
        f"the router doesn't answer within {_ANSWER_S:g} s",
        f"See why: {router_place.log_file(home)}",
    )
