"""A supervisor's end of an attached connection, which answers frames with frames."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

from moat.platform import sockets
from moat.runs import lock
from moat.wire import http
from moat.wire.frames import FrameReader, FrameType, encode
from moat.wire.messages import LEVEL, UPGRADE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from moat.paths import RunFolder

    Script = Mapping[FrameType, bytes | Callable[[bytes], bytes] | None]


class ScriptedSupervisor:
    """Answers each frame of a kind as the script says, in a thread of its own. A context manager.

    The script has bytes, or what makes them of the payload, or `None` to hang up. `received` is complete
    at the end of the block, in which the client closes its end.
    """

    def __init__(self, sock: socket.socket, script: Script) -> None:
        self.received: list[tuple[FrameType, bytes]] = []
        self._sock = sock
        self._script = script
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._sock.close()

    def of(self, kind: FrameType) -> list[bytes]:
        """The payloads of all frames of a kind."""
        return [payload for each, payload in self.received if each == kind]

    def _serve(self) -> None:
        reader = FrameReader()
        while data := self._sock.recv(1 << 16):
            for kind, payload in reader.feed(data):
                frame_type = FrameType(kind)
                self.received.append((frame_type, payload))
                answer = self._script.get(frame_type, b"")
                if callable(answer):
                    answer = answer(payload)
                if answer is None:
                    self._sock.close()
                    return
                if answer:  # the client may be gone, and nothing to send is an error then
                    self._sock.sendall(answer)


def frames(*pieces: tuple[FrameType, bytes]) -> bytes:
    return b"".join(encode(kind, payload) for kind, payload in pieces)


class Supervisors:
    """Successive supervisors of a run, each of which serves one connection. A context manager.

    They hold the run's lock, and listen where clients look for them. A client's connection gets the
    answer of the next one, which then dies if `answers` has more. After the last one, the lock is free.
    """

    def __init__(self, folder: RunFolder, *answers: bytes) -> None:
        self._folder = folder
        self._answers = answers
        self.requests: list[bytes] = []
        """What each of them was sent first."""
        held = lock.try_lock(folder.supervisor_lock)
        assert held is not None
        self._lock = held
        self._listener = sockets.listen(folder.root, folder.SUPERVISOR_SOCKET)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _serve(self) -> None:
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with connection:
                self.requests.append(connection.recv(1 << 16))
                if answer.startswith(UPGRADED):
                    connection.sendall(UPGRADED)
                    self.requests.append(connection.recv(1 << 16))  # HELLO
                connection.sendall(answer.removeprefix(UPGRADED))
        os.close(self._lock)
        self._listener.close()


UPGRADED = http.encode_upgrade(UPGRADE, LEVEL)
