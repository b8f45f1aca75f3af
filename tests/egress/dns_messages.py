"""DNS messages, written and read independently of the code under test."""

from __future__ import annotations

import struct
from typing import NamedTuple

RECURSE = 0x0100
"""The flag that every resolver's question has."""


def encoded(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def question(
    name: bytes | str, kind: int = 1, *, klass: int = 1, flags: int = RECURSE, more: bytes = b""
) -> bytes:
    """A message that asks for a name, by default for its IPv4 address. `more`: another record."""
    asked = (encoded(name) if isinstance(name, str) else name) + struct.pack("!HH", kind, klass)
    return struct.pack("!6H", 0xABCD, flags, 1, 0, 0, 1 if more else 0) + asked + more


class Record(NamedTuple):
    name: bytes
    kind: int
    ttl: int
    data: bytes


class Reply(NamedTuple):
    number: int
    flags: int
    question: bytes
    answers: list[Record]
    authorities: list[Record]
    additional: list[Record]


def read(message: bytes) -> Reply:
    """Raises where something is missing, malformed, or too much."""
    number, flags, questions, *counts = struct.unpack_from("!6H", message)
    at = 12

    def name() -> bytes:
        nonlocal at
        start = at
        while message[at]:
            if message[at] >= 0xC0:
                at += 2
                return message[start:at]
            at += 1 + message[at]
        at += 1
        return message[start:at]

    for _ in range(questions):
        name()
        at += 4
    question = message[12:at]
    sections: list[list[Record]] = []
    for count in counts:
        records: list[Record] = []
        for _ in range(count):
            owner = name()
            kind, _, ttl, size = struct.unpack_from("!HHIH", message, at)
            at += 10 + size
            records.append(Record(owner, kind, ttl, message[at - size : at]))
        sections.append(records)
    assert at == len(message)
    return Reply(number, flags, question, *sections)
