"""DNS messages (RFC 1035), answered without asking anybody. Pure.

A name that exists leads to a synthetic IPv4 address. A question for anything else about it gets an
answer without records (RFC 2308): no client waits for one, and nothing is learned or carried out by
asking. A client that speaks EDNS is told why a name does not exist (RFC 8914).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

TTL: Final = 60
"""Seconds. A name keeps its address for as long as programs use it."""

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
"""Bytes of a name with its lengths and its last zero (RFC 1035 2.3.4)."""
_NAME_OF_QUESTION: Final = b"\xc0\x0c"
_SOA_DATA: Final = b"\x00\x00" + struct.pack("!5I", 1, 3600, 600, 86400, TTL)
"""No primary server and no mailbox; the last number is the TTL of a negative answer."""
_EXTENDED_ERROR, _BLOCKED = 15, 15
"""The code of the option (RFC 8914 2), and "blocked by an internal security policy" (4.16)."""
_MAX_UDP: Final = 511
"""Bytes of a reply: not every client accepts more than 512."""
_LOCALHOST: Final = "localhost"


class Answer(NamedTuple):
    reply: bytes | None
    """`None` where there is nobody to reply to."""
    name: str
    """The name in lower case; bytes that no server's name contains are written as `\\ddd`."""
    type: str
    code: str
    """NOERROR, NXDOMAIN, FORMERR, SERVFAIL, NOTIMP or REFUSED."""


def answer(
    query: bytes,
    address_of: Callable[[str], str | None],
    why_not: Callable[[str], str] = lambda _: "",
) -> Answer:
    """Answer a message.

    `address_of` returns the IPv4 address of a name, `None` if the name does not exist, and raises
    `OSError` if it can't tell now. `why_not` returns in one line why a name does not exist.
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
    """Return the code, the record of the answer section and that of the authority section."""
    if klass != _IN:
        return REFUSED, b"", b""
    none = _record(b"\x00", _SOA, _SOA_DATA)
    if not name:  # the root: without it no name could exist (RFC 8020)
        return NOERROR, b"", none
    record = _localhost(kind) if name.rpartition(".")[2] == _LOCALHOST else None
    if record is None:
        try:
            address = address_of(name)
        except OSError:
            return SERVFAIL, b"", b""
        if address is None:
            return NXDOMAIN, b"", none
        if kind in {_A, _ANY}:
            record = _record(_NAME_OF_QUESTION, _A, bytes(int(part) for part in address.split(".")))
    return (NOERROR, record, b"") if record else (NOERROR, b"", none)


def _localhost(kind: int) -> bytes:
    """Return the record of a name below `localhost` (RFC 6761 6.3), if there is one."""
    if kind == _A:
        return _record(_NAME_OF_QUESTION, _A, bytes((127, 0, 0, 1)))
    return _record(_NAME_OF_QUESTION, _AAAA, bytes(15) + b"\x01") if kind == _AAAA else b""


def _record(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack("!HHIH", kind, _IN, TTL, len(data)) + data


def _options(why: str, room: int) -> bytes:
    """Return an OPT record (RFC 6891) with as much of the reason as there is room for."""
    text = why.encode()[: max(0, room - 17)].decode(errors="ignore").encode()
    error = struct.pack("!HHH", _EXTENDED_ERROR, 2 + len(text), _BLOCKED) + text if text else b""
    return b"\x00" + struct.pack("!HHIH", _OPT, 1232, 0, len(error)) + error


def _without_question(number: int, flags: int, code: int) -> Answer:
    reply = _HEADER.pack(number, _QR | (flags & (_OPCODE | _RD)) | code, 0, 0, 0, 0)
    return Answer(reply, "", "", _CODES[code])


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    """Return the name at `at`, and where it ends. In a question there is nothing yet to point to."""
    labels: list[str] = []
    start = at
    while True:
        length = message[at] if at < len(message) else 64
        at += 1
        if not length:
            return ".".join(labels), at
        if length > 63 or at + length > len(message) or at + length - start >= _MAX_NAME:
            raise ValueError("malformed name")
        labels.append(_text(message[at : at + length]))
        at += length


def _text(label: bytes) -> str:
    """Return a label in the text form of RFC 4343 2.1."""
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in b".\\" else f"\\{byte:03d}"
        for byte in label.lower()
    )


def _has_options(query: bytes, at: int) -> bool:
    """Tell whether the additional section begins with an OPT record (RFC 6891)."""
    *_, answers, authorities, additional = _HEADER.unpack_from(query)
    return bool(
        additional and not answers and not authorities and query[at : at + 3] == b"\x00\x00\x29"
    )


class TCPFramer:
    """Splits a stream into messages, each preceded by its length (RFC 1035 4.2.2)."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the complete messages. Less than 64 KiB of an incomplete one are kept."""
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
