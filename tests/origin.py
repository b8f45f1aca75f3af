"""A web server on loopback for tests: real TLS, and bytes exactly as a test wants them.

It reads what arrives itself, instead of through a library, because tests ask what has reached it. What a
request gets depends on its path; see `_ANSWERS`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

SSE_EVENTS = 5


class Origin:
    """Runs in a thread of its own, from `with` to the end of it."""

    def __init__(
        self, context: ssl.SSLContext | None = None, answers: dict[str, bytes] | None = None
    ) -> None:
        """`answers`: further ones, by path, whole."""
        self._context = context
        self._answers = _ANSWERS | (answers or {})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        self.heads: list[bytes] = []
        """Of all requests that reached it."""
        self.connections = 0
        self.waiting = threading.Event()
        """Somebody asks for /wait ..."""
        self.proceed = threading.Event()
        """... and may have it now ..."""
        self.left = threading.Event()
        """... but does not wait any more."""
        self._never = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.proceed.set()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # transports that were closed end in callbacks, one after the other
            await asyncio.sleep(0)
        await self._loop.shutdown_default_executor()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                await self._converse(reader, writer)
            writer.close()
            await writer.wait_closed()
        except (asyncio.CancelledError, OSError):
            return
        finally:
            # At our end a peer may still owe TLS its goodbye.
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._context is not None:
            await writer.start_tls(self._context)
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if not await self._answer(head, reader, writer):
                return

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection goes on."""
        path = head.split(b" ")[1].partition(b"?")[0].decode()
        fixed = self._answers.get(path)
        if fixed is not None:
            writer.write(fixed)
        elif path == "/echo":
            body = await _body(head, reader, writer)
            _send(
                writer, json.dumps({"head": head.decode("latin-1"), "body": body.decode("latin-1")})
            )
        elif path == "/size":
            _send(writer, str(len(await _body(head, reader, writer))))
        elif path.startswith("/bytes/"):
            size = int(path.removeprefix("/bytes/"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 65536):
                writer.write(bytes(65536))
                await writer.drain()
            writer.write(bytes(size % 65536))
        elif path == "/wait":
            return await self._wait(reader, writer)
        elif path == "/deaf":  # it neither reads nor answers
            await self._never.wait()
        elif path == "/upgrade":
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
            )
            while data := await reader.read(65536):
                writer.write(data)
            writer.write(b"goodbye")
            return False
        else:
            _send(writer, f"hello from {path}")
        await writer.drain()
        return b"Connection: close" not in (fixed or b"")

    async def _wait(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Until it may go on, or the client leaves or says something more."""
        self.waiting.set()
        proceed = self._loop.run_in_executor(None, self.proceed.wait)
        gone = self._loop.create_task(reader.read(1))
        await asyncio.wait((proceed, gone), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.left.set()
            return False
        gone.cancel()
        _send(writer, "waited")
        await writer.drain()
        return True


async def _body(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if fields.get(b"expect") == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if fields.get(b"transfer-encoding") == b"chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body
    return await reader.readexactly(int(fields.get(b"content-length", 0)))


def _send(writer: asyncio.StreamWriter, text: str) -> None:
    body = text.encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _events() -> bytes:
    return b"".join(b"data: %d\n\n" % number for number in range(SSE_EVENTS))


_ANSWERS = {
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
    "/close": b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/unchanged": b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 5\r\n\r\n',
    "/hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/early": b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n",
    "/sse": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    + _events(),
    "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this",
    "/cut-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"9\r\nonly this\r\n",
}
