"""The question whether a service is ready, and its answers.

Redis and PostgreSQL are asked for real in tests/e2e/test_services.py, and these are answers of theirs.
The others cannot be had here as their official images: the greeting of MySQL is the example of its
documentation, those of RabbitMQ and MongoDB are written by their specifications.
"""

from __future__ import annotations

import struct
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.services.readiness import Exchange, Verdict, exchange
from moat.spec.service import Readiness, ReadyProtocol

PASSWORD = "0123"
VARIABLES = {"USER": "moat", "DATABASE": "shop", "PASSWORD": PASSWORD}
MYSQL = bytes.fromhex(
    "36 00 00 00 0a 35 2e 35 2e 32 2d 6d 32 00 0b 00 00 00 64 76 48 40 49 2d 43 4a 00 ff f7 08 02"
    "00 00 00 00 00 00 00 00 00 00 00 00 00 00 2a 34 64 7c 63 5a 77 6b 34 5e 5d 3a 00"
)
MYSQL_ERROR = (
    b"\x48\0\0\0\xff\x6a\x04Host '172.17.0.1' is not allowed to connect to this MySQL server"
)
AMQP = b"\x01\0\0\0\0\x01\xf4\0\x0a\0\x0a\0\x09" + bytes(488) + b"\xce"
AMQP_REFUSED = b"AMQP\0\0\x09\x01" + bytes(3)


def mongodb(*, primary: bool, ok: float = 1.0) -> bytes:
    fields = b"\x08isWritablePrimary\0" + bytes([primary]) + b"\x01ok\0" + struct.pack("<d", ok)
    document = struct.pack("<i", len(fields) + 5) + fields + b"\0"
    body = bytes(4) + b"\0" + document
    return struct.pack("<iiii", 16 + len(body), 7, 1, 2013) + body


def asked(protocol: ReadyProtocol, **fields: str) -> Exchange:
    found = exchange(Readiness(protocol=protocol, **fields), VARIABLES)
    assert found is not None
    return found


def test_a_connection_is_enough_for_tcp() -> None:
    """Nothing is known of what such a service understands."""
    assert exchange(Readiness(), VARIABLES) is None


@pytest.mark.parametrize(
    ("protocol", "request_"),
    [
        ("http", b"GET /up HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
        ("redis", b"*2\r\n$4\r\nAUTH\r\n$4\r\n0123\r\nPING\r\n"),
        ("postgres", b"\0\0\0\x21\0\x03\0\0user\0moat\0database\0shop\0\0"),
        ("mysql", b""),
        ("amqp", b"AMQP\0\0\x09\x01"),
        (
            "mongodb",
            struct.pack("<iiiiI", 52, 1, 0, 2013, 0)
            + b"\0"
            + struct.pack("<i", 31)
            + b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0",
        ),
    ],
)
def test_what_is_asked(protocol: ReadyProtocol, request_: bytes) -> None:
    """The first bytes of a client of each protocol; of MySQL's, none: its server begins."""
    assert asked(protocol, path="/up").request == request_


READY = [
    ("http", b"HTTP/1.1 200 OK\r\n"),
    ("http", b"HTTP/1.0 302 Found\r\n"),
    ("redis", b"+OK\r\n+PONG\r\n"),
    ("redis", b"-ERR AUTH <password> called without any password configured\r\n+PONG\r\n"),
    ("postgres", b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"),
    ("mysql", MYSQL),
    ("amqp", AMQP),
    ("mongodb", mongodb(primary=True)),
]
NOT_READY = [
    ("http", b"HTTP/1.1 503 Service Unavailable\r\n"),
    ("http", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    ("redis", b"+OK\r\n-LOADING Redis is loading the dataset in memory\r\n"),
    ("redis", b"-NOAUTH Authentication required.\r\n"),
    ("postgres", b"E\0\0\0\x3cSFATAL\0C57P03\0Mthe database system is starting up\0\0"),
    ("mysql", MYSQL_ERROR),
    ("amqp", AMQP_REFUSED),
    ("mongodb", mongodb(primary=False)),
    ("mongodb", mongodb(primary=True, ok=0.0)),
    ("mongodb", b"HTTP/1.0 200 OK\r\nConnection: close\r\n"),
]


@pytest.mark.parametrize(("protocol", "answer"), READY)
def test_a_service_that_is_ready(protocol: ReadyProtocol, answer: bytes) -> None:
    """Its answer counts once enough of it is there, in however many pieces it comes."""
    judge = asked(protocol).judge
    verdicts = [judge(answer[:size]) for size in range(len(answer) + 1)]
    first = verdicts.index(Verdict.READY)
    assert set(verdicts[:first]) == {Verdict.MORE}
    assert set(verdicts[first:]) == {Verdict.READY}


@pytest.mark.parametrize(("protocol", "answer"), NOT_READY)
def test_a_service_that_is_not_ready_yet(protocol: ReadyProtocol, answer: bytes) -> None:
    """It is asked again: it starts, shuts down, or is somebody else."""
    assert asked(protocol).judge(answer) is Verdict.NOT_READY


def test_a_password_that_is_not_taken() -> None:
    """No waiting changes that."""
    answer = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    assert asked("redis").judge(answer) is Verdict.REFUSED


@given(
    protocol=st.sampled_from([each for each in get_args(ReadyProtocol) if each != "tcp"]),
    answer=st.binary(max_size=200),
)
def test_any_answer_has_a_verdict(protocol: ReadyProtocol, answer: bytes) -> None:
    """A hostile service says what it likes."""
    assert asked(protocol).judge(answer) in Verdict


def test_a_service_without_a_user_or_a_password() -> None:
    """Any image can be asked by each protocol."""
    postgres = exchange(Readiness(protocol="postgres"), {})
    redis = exchange(Readiness(protocol="redis"), {})
    assert postgres is not None
    assert redis is not None
    assert b"user\0postgres\0database\0postgres\0" in postgres.request
    assert redis.request == b"PING\r\n"
