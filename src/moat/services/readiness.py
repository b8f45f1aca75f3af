"""The question whether a service is ready, in its own protocol, and the answer as it comes in. Pure.

A service is hostile like everything in a run: an answer that can't be understood is that of a service
that isn't ready, and no more than `MOST_BYTES` of one are looked at.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moat.spec.service import Readiness, ReadyProtocol

MOST_BYTES: Final = 16 * 1024


class Verdict(Enum):
    """The meaning of what a service has answered so far."""

    READY = auto()
    NOT_READY = auto()
    """Ask again later, on another connection."""
    MORE = auto()
    """The answer isn't complete."""
    REFUSED = auto()
    """The service doesn't take the run's password, which no waiting will change."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is sent first, and who judges the answer from its beginning."""

    request: bytes
    judge: Callable[[bytes], Verdict]


def exchange(ready: Readiness, variables: Mapping[str, str]) -> Exchange | None:
    """Return the exchange for a service; `None` where it is enough that it accepts a connection.

    `variables` are those of the run's commands, without their common beginning.
    """
    make = _EXCHANGES[ready.protocol]
    return None if make is None else make(ready, variables)


# --- http ---

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


def _http(ready: Readiness, _variables: Mapping[str, str]) -> Exchange:
    head = f"GET {ready.path} HTTP/1.1\r\nHost: {ready.address}\r\nConnection: close\r\n\r\n"
    return Exchange(head.encode(), _judge_http)


def _judge_http(data: bytes) -> Verdict:
    if len(data) < 13:
        return Verdict.MORE
    status = _STATUS.match(data)
    fine = status is not None and 200 <= int(status[1]) < 400
    return Verdict.READY if fine else Verdict.NOT_READY


# --- Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/ ---


def _redis(_ready: Readiness, variables: Mapping[str, str]) -> Exchange:
    password = variables.get("PASSWORD", "").encode()
    authenticate = b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n" % (len(password), password)
    return Exchange((authenticate if password else b"") + b"PING\r\n", _judge_redis)


def _judge_redis(data: bytes) -> Verdict:
    # Before it has read its data it answers -LOADING.
    for line in data.split(b"\r\n")[:-1]:
        if line == b"+PONG":
            return Verdict.READY
        if line.startswith(b"-WRONGPASS"):
            return Verdict.REFUSED
        if line.startswith(b"-ERR AUTH"):
            continue  # it has no password; who has started it wants it so
        if line != b"+OK":
            return Verdict.NOT_READY
    return Verdict.MORE


# --- PostgreSQL: https://www.postgresql.org/docs/current/protocol-message-formats.html ---

_VERSION_3: Final = 196608


def _postgres(_ready: Readiness, variables: Mapping[str, str]) -> Exchange:
    user = variables.get("USER", "postgres")
    pairs = ("user", user, "database", variables.get("DATABASE", user), "")
    body = struct.pack(">I", _VERSION_3) + "\0".join(pairs).encode() + b"\0"
    return Exchange(struct.pack(">I", len(body) + 4) + body, _judge_postgres)


def _judge_postgres(data: bytes) -> Verdict:
    # `R`: it asks for a password. An error says that it starts, or that it shuts down.
    if not data:
        return Verdict.MORE
    return Verdict.READY if data[:1] == b"R" else Verdict.NOT_READY


# --- MySQL: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html ---


def _judge_mysql(data: bytes) -> Verdict:
    # A packet of the length in its first three bytes, with the number 0; then the version 10.
    if len(data) < 5:
        return Verdict.MORE
    return Verdict.READY if data[3] == 0 and data[4] == 10 else Verdict.NOT_READY


# --- AMQP 0-9-1: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2 ---

_AMQP: Final = b"AMQP\0\0\x09\x01"
_CONNECTION_START: Final = struct.pack(">HH", 10, 10)


def _judge_amqp(data: bytes) -> Verdict:
    # A frame: its type (1: a method), channel and length; then the class and the method.
    if len(data) < 11:
        return Verdict.MORE
    start = data[0] == 1 and data[7:11] == _CONNECTION_START
    return Verdict.READY if start else Verdict.NOT_READY


# --- MongoDB: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ ---

_OP_MSG: Final = 2013
_HEADER: Final = 16


def _mongodb(_ready: Readiness, _variables: Mapping[str, str]) -> Exchange:
    hello = b"\x10hello\0" + struct.pack("<i", 1)
    database = b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", 4 + len(hello) + len(database) + 1) + hello + database + b"\0"
    body = struct.pack("<I", 0) + b"\0" + document
    header = struct.pack("<iiii", _HEADER + len(body), 1, 0, _OP_MSG)
    return Exchange(header + body, _judge_mongodb)


def _judge_mongodb(data: bytes) -> Verdict:
    if len(data) < _HEADER:
        return Verdict.MORE
    length, _, _, kind = struct.unpack_from("<iiii", data)
    if kind != _OP_MSG or not _HEADER < length <= MOST_BYTES:
        return Verdict.NOT_READY
    if len(data) < length:
        return Verdict.MORE
    fine = b"\x01ok\0" + struct.pack("<d", 1.0) in data[:length]
    primary = b"\x08isWritablePrimary\0\x01" in data[:length]
    return Verdict.READY if fine and primary else Verdict.NOT_READY


_EXCHANGES: Final[
    Mapping[ReadyProtocol, Callable[[Readiness, Mapping[str, str]], Exchange] | None]
] = {
    "tcp": None,
    "http": _http,
    "redis": _redis,
    "postgres": _postgres,
    "mysql": lambda _ready, _variables: Exchange(b"", _judge_mysql),
    "amqp": lambda _ready, _variables: Exchange(_AMQP, _judge_amqp),
    "mongodb": _mongodb,
}
