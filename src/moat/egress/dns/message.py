"""Answering DNS questions without asking anybody (RFC 1035). Pure.

The sandbox's names lead to addresses of our own. Nothing else about a name is ever told: a question for
anything but an IPv4 address gets an answer without records (RFC 2308), so that no client waits for
one, and none learns or tells anything by it. Why a name does not exist here is told to those who speak
EDNS (RFC 8914).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

TTL: Final = 60
"""Seconds. A name keeps its address for as long as somebody uses it."""

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
_CODES: Final = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
}  # fmt: skip

_A, _SOA, _AAAA, _OPT, _ANY = 1, 6, 28, 41, 255
_TYPES: Final = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA",
    33: "SRV", 35: "NAPTR", 41: "OPT", 43: "DS", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS",
    251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}  # fmt: skip
_IN: Final = 1
_HEADER: Final = struct.Struct("!6H")
_QR, _AA, _RD, _RA = 0x8000, 0x0400, 0x0100, 0x0080
_OPCODE: Final = 0x7800
_MAX_NAME: Final = 255
"""Bytes of a name, its lengths and the last zero included (RFC 1035 2.3.4)."""
_NAME_OF_QUESTION: Final = b"\xc0\x0c"
_SOA_DATA: Final = b"\x00\x00" + struct.pack("!5I", 1, 3600, 600, 86400, TTL)
"""No primary server, no mailbox; its last number says how long "there is none" holds."""
_EXTENDED_ERROR, _BLOCKED = 15, 15
"""The option's code (RFC 8914 2); what it says: "an internal security policy" (4.16)."""
_MAX_UDP: Final = 511
"""Bytes of a reply: more than 512 is not taken by everybody who asks."""
_LOCALHOST: Final = "localhost"


class Answer(NamedTuple):
    reply: bytes | None
    """`None` where there is nobody to answer."""
    name: str
    """What was asked for, in lower case; bytes that no name of a server has as `\\ddd`."""
    type: str
    code: str
    """NOERROR, NXDOMAIN, FORMERR, SERVFAIL, NOTIMP or REFUSED."""


def answer(
    query: bytes,
    address_of: Callable[[str], str | None],
    why_not: Callable[[str], str] = lambda _: "",
) -> Answer:
    """`address_of` gives a name's IPv4 address, or `None` for a name that does not exist here.

    Where it raises `OSError`, there may be one, but not now. `why_not`: in one line, why there is none.
    """
    if len(query) < _HEADER.size:
        return Answer(None, "", "", _CODES[FORMERR])
    number, flags, questions, *_ = _HEADER.unpack_from(query)
    if flags & _QR:
        return Answer(None, "", "", _CODES[FORMERR])
    if flags & _OPCODE:
        return _without_question(number, flags, NOTIMP)
    try:
        if questions != 1:
            raise ValueError("not one question")
        name, end = _read_name(query, _HEADER.size)
        kind, klass = struct.unpack_from("!HH", query, end)
    except (ValueError, struct.error):
        return _without_question(number, flags, FORMERR)
    question = query[_HEADER.size : end + 4]
    with_options = _has_options(query, end + 4)
    code, records, authority = _decide(name, kind, klass, address_of)
    head = _HEADER.pack(
        number,
        _QR | _AA | (flags & _RD) | _RA | code,
        1,
        1 if records else 0,
        1 if authority else 0,
        1 if with_options else 0,
    )
    reply = head + question + records + authority
    if with_options:
        why = why_not(name) if code == NXDOMAIN else ""
        reply += _options(why, _MAX_UDP - len(reply))
    return Answer(reply, name, _TYPES.get(kind, f"TYPE{kind}"), _CODES[code])


def _decide(
    name: str, kind: int, klass: int, address_of: Callable[[str], str | None]
) -> tuple[int, bytes, bytes]:
    """The code, the answer's record, the authority's record."""
    if klass != _IN:
        return REFUSED, b"", b""
    none = _record(b"\x00", _SOA, _SOA_DATA)
    if not name:  # the root: without it no name could exist (RFC 8020)
        return NOERROR, b"", none
    found = _localhost(kind) if name.rpartition(".")[2] == _LOCALHOST else None
    if found is None:
        try:
            address = address_of(name)
        except OSError:
            return SERVFAIL, b"", b""
        if address is None:
            return NXDOMAIN, b"", none
        if kind in {_A, _ANY}:
            found = _record(_NAME_OF_QUESTION, _A, bytes(int(part) for part in address.split(".")))
    return (NOERROR, found, b"") if found else (NOERROR, b"", none)


def _localhost(kind: int) -> bytes:
    """RFC 6761 6.3."""
    if kind == _A:
        return _record(_NAME_OF_QUESTION, _A, bytes((127, 0, 0, 1)))
    return _record(_NAME_OF_QUESTION, _AAAA, bytes(15) + b"\x01") if kind == _AAAA else b""


def _record(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack("!HHIH", kind, _IN, TTL, len(data)) + data


def _options(why: str, room: int) -> bytes:
    """The OPT record (RFC 6891), with as much of the reason as there is room for."""
    text = why.encode()[: max(0, room - 17)].decode(errors="ignore").encode()
    error = struct.pack("!HHH", _EXTENDED_ERROR, 2 + len(text), _BLOCKED) + text if text else b""
    return b"\x00" + struct.pack("!HHIH", _OPT, 1232, 0, len(error)) + error


def _without_question(number: int, flags: int, code: int) -> Answer:
    reply = _HEADER.pack(number, _QR | (flags & (_OPCODE | _RD)) | code, 0, 0, 0, 0)
    return Answer(reply, "", "", _CODES[code])


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    """The name at `at`, and where it ends. A question has no reason to point elsewhere."""
    labels: list[str] = []
    start = at
    while True:
        length = message[at] if at < len(message) else 64
        at += 1
        if not length:
            return ".".join(labels), at
        if length > 63 or at + length > len(message) or at + length - start >= _MAX_NAME:
            raise ValueError("malformed name")
        labels.append(_shown(message[at : at + length]))
        at += length


def _shown(label: bytes) -> str:
    """In the form of RFC 4343 2.1."""
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in b".\\" else f"\\{byte:03d}"
        for byte in label.lower()
    )


def _has_options(query: bytes, at: int) -> bool:
    """Whether the additional section begins with an OPT record (RFC 6891)."""
    *_, answers, authorities, additional = _HEADER.unpack_from(query)
    return bool(
        additional and not answers and not authorities and query[at : at + 3] == b"\x00\x00\x29"
    )


class TCPFramer:
    """Messages with their lengths before them (RFC 1035 4.2.2)."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Complete messages. What is kept of an unfinished one is less than 64 KiB."""
        self._data += data
        messages: list[bytes] = []
        at = 0
        while len(self._data) - at >= 2:
            end = at + 2 + int.from_bytes(self._data[at : at + 2], "big")
            if end > len(self._data):
                break
            messages.append(self._data[at + 2 : end])
            at = end
        self._data = self._data[at:]
        return messages
