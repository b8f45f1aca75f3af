"""A server of events over TLS, each with its number and the time at which it was sent."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time

EVENTS, PAUSE_S = 300, 0.005


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for number in range(EVENTS):
        writer.write(b"data: %d %d\n\n" % (number, time.time_ns()))
        await writer.drain()
        await asyncio.sleep(PAUSE_S)
    writer.close()


async def main(port: int, pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
