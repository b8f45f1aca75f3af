"""A server of gRPC and its client, which come without generated code: messages are bytes.

python grpc_peers.py serve KEY CERTIFICATE AUTHORIZATION
python grpc_peers.py call HOST:PORT AUTHORIZATION
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-not-found]  only the clients' environment has it

METHOD = "/echo.Echo/Chat"


def serve(key: str, certificate: str, authorization: str) -> None:
    """Echo messages of those who have the right authorization; print the port at first."""

    def chat(messages, context):
        if dict(context.invocation_metadata()).get("authorization") != authorization:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        for message in messages:
            yield b"echo of " + message
        context.set_trailing_metadata((("x-count", "3"),))

    handler = grpc.stream_stream_rpc_method_handler(chat)
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("echo.Echo", {"Chat": handler}),)
    )
    pair = (Path(key).read_bytes(), Path(certificate).read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    _say(port)
    signal.sigwait({signal.SIGTERM})
    server.stop(0)


def call(where: str, authorization: str) -> None:
    """Send three messages, each after the answer to the one before, and print what comes."""
    with grpc.secure_channel(where, grpc.ssl_channel_credentials()) as channel:
        chat = channel.stream_stream(METHOD)
        answers = chat(
            iter([b"one", b"two", b"three"]),
            timeout=200,
            metadata=(("authorization", authorization),),
        )
        for answer in answers:
            _say(answer.decode())
        _say(dict(answers.trailing_metadata())["x-count"])


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
