"""DNS as resolvers see it, and messages of programs that want something else from it."""

from __future__ import annotations

import itertools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.egress.dns_messages import RECURSE as RD
from tests.egress.dns_messages import Record, Reply, encoded, question, read

from moat.egress.dns import message as dns
from moat.egress.dns.message import Answer, TCPFramer

A, NS, CNAME, SOA, NULL, PTR, MX, TXT, AAAA, SRV, OPT = 1, 2, 5, 6, 10, 12, 15, 16, 28, 33, 41
SVCB, HTTPS, AXFR, ANY = 64, 65, 252, 255
OPT_RECORD = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00"  # 4,096 bytes, DNSSEC wanted
CD, TC, QR = 0x0010, 0x0200, 0x8000


def _address_of(name: str) -> str | None:
    return "198.18.0.1" if name == "example.com" else None


def _ask(query: bytes) -> tuple[Answer, Reply]:
    answer = dns.answer(query, _address_of)
    assert answer.reply is not None
    assert len(answer.reply) < 512
    return answer, read(answer.reply)


def test_a_name_has_its_address() -> None:
    """The answer is authoritative, holds for a minute, and has the question's number."""
    answer, reply = _ask(question("example.com"))

    assert answer[1:] == ("example.com", "A", "NOERROR")
    assert reply.number == 0xABCD
    assert reply.flags == QR | 0x0400 | RD | 0x0080
    assert reply.answers == [Record(b"\xc0\x0c", A, 60, socket.inet_aton("198.18.0.1"))]
    assert not reply.authorities
    assert not reply.additional


def test_the_case_of_a_question_is_kept() -> None:
    """Resolvers mix case at random and reject a reply that doesn't (draft-vixie-dnsext-dns0x20)."""
    query = question("eXaMPLe.cOM")
    answer, reply = _ask(query)

    assert answer.name == "example.com"
    assert reply.question == query[12:]
    assert reply.answers


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        *((AAAA, "AAAA"), (TXT, "TXT"), (MX, "MX"), (HTTPS, "HTTPS"), (SVCB, "SVCB")),
        *((SRV, "SRV"), (CNAME, "CNAME"), (NS, "NS"), (PTR, "PTR"), (SOA, "SOA"), (NULL, "NULL")),
        *((AXFR, "AXFR"), (0, "TYPE0"), (65535, "TYPE65535")),
    ],
)
def test_nothing_else_is_told_of_a_name(kind: int, shown: str) -> None:
    """The name exists without such a record, in a form that resolvers cache (RFC 2308)."""
    answer, reply = _ask(question("example.com", kind))

    assert answer[1:] == ("example.com", shown, "NOERROR")
    assert reply.answers == []
    (authority,) = reply.authorities
    assert (authority.kind, authority.ttl) == (SOA, 60)
    assert struct.unpack_from("!I", authority.data, len(authority.data) - 4) == (60,)


def test_any_is_what_there_is() -> None:
    """A question for anything gets the address (RFC 8482 allows a minimal answer)."""
    assert [each.kind for each in _ask(question("example.com", ANY))[1].answers] == [A]


@pytest.mark.parametrize("kind", [A, AAAA, TXT])
def test_a_name_that_is_not_known_does_not_exist(kind: int) -> None:
    """The name doesn't exist for any type, and resolvers cache that for a minute."""
    answer, reply = _ask(question("secret.attacker.example", kind))

    assert (answer.name, answer.code) == ("secret.attacker.example", "NXDOMAIN")
    assert reply.flags & 0xF == 3
    assert reply.answers == []
    assert [each.kind for each in reply.authorities] == [SOA]


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "web.localhost"])
def test_localhost_is_here(name: str) -> None:
    """Names below localhost need no lookup (RFC 6761 6.3)."""
    assert [each.data for each in _ask(question(name))[1].answers] == [
        socket.inet_aton("127.0.0.1")
    ]
    assert [each.data for each in _ask(question(name, AAAA))[1].answers] == [bytes(15) + b"\x01"]
    assert _ask(question(name, TXT))[1].answers == []
    assert _ask(question(name, TXT))[0].code == "NOERROR"


@pytest.mark.parametrize("name", ["evil.example", f"{'a' * 60}.{'b' * 60}.{'c' * 60}.evil.example"])
def test_why_a_name_does_not_exist_is_told_with_edns(name: str) -> None:
    """The extended error 15, Blocked (RFC 8914), is cut to fit into UDP and needs EDNS."""

    def why_not(name: str) -> str:
        return f"moat: {name} denied by rule: deny bücher.example. " * 3

    told = dns.answer(question(name, more=OPT_RECORD), _address_of, why_not).reply or b""
    untold = dns.answer(question(name), _address_of, why_not).reply or b""

    assert len(told) < 512
    [options] = read(told).additional
    kind, size, code = struct.unpack_from("!3H", options.data)
    text = options.data[6:].decode()
    assert (kind, size, code) == (15, len(options.data) - 4, 15)
    assert text
    assert why_not(name).startswith(text)
    assert not read(untold).additional


def test_a_reason_is_never_cut_within_a_character() -> None:
    """EXTRA-TEXT is UTF-8."""
    for size in range(400, 500):
        query = question("evil.example", more=OPT_RECORD)
        reply = dns.answer(query, _address_of, lambda _, size=size: "x" * size + "üü").reply
        assert reply is not None
        assert set(read(reply).additional[0].data[6:].decode()) <= {"x", "ü"}


def test_edns_is_answered_with_edns() -> None:
    """The OPT record has version 0 and no options: no subnet, no cookie, no DNSSEC."""
    for name, code in (("example.com", "NOERROR"), ("evil.example", "NXDOMAIN")):
        answer, reply = _ask(question(name, more=OPT_RECORD))
        assert answer.code == code
        assert reply.additional == [Record(b"\0", OPT, 0, b"")]


@pytest.mark.parametrize(
    "flags", [RD | CD, RD | TC, 0], ids=["checking disabled", "truncated", "not recursive"]
)
def test_flags_change_nothing(flags: int) -> None:
    """Only the flag RD is copied from the question."""
    _, reply = _ask(question("example.com", flags=flags))

    assert reply.flags == QR | 0x0400 | 0x0080 | flags & RD
    assert reply.answers


def test_where_no_address_can_be_given_now_it_says_so() -> None:
    """On a full disk the name may get an address later, so it isn't said not to exist."""

    def address_of(_name: str) -> str:
        raise OSError(28, "No space left on device")

    answer = dns.answer(question("example.com"), address_of)
    assert answer.reply is not None
    assert answer.code == "SERVFAIL"
    assert read(answer.reply).flags & 0xF == 2


@pytest.mark.parametrize("klass", [0, 3, 4, 254, 255])
def test_other_classes_are_refused(klass: int) -> None:
    """`version.bind` of the class CHAOS is refused, too."""
    answer, reply = _ask(question("example.com", TXT, klass=klass))

    assert answer.code == "REFUSED"
    assert reply.flags & 0xF == 5
    assert reply.answers == reply.authorities == []


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
def test_nothing_but_questions_is_understood(opcode: int) -> None:
    """Updates and notifications are not implemented."""
    answer, reply = _ask(question("example.com", flags=opcode << 11))

    assert answer.code == "NOTIMP"
    assert (reply.number, reply.flags & 0xF) == (0xABCD, 4)


LONGEST = b"".join(b"\x3f" + bytes((letter,)) * 63 for letter in b"abc") + b"\x3d" + b"d" * 61
"""A name of 255 bytes with its end."""

MALFORMED = {
    "no question": struct.pack("!6H", 7, RD, 0, 0, 0, 0),
    "two questions": struct.pack("!6H", 7, RD, 2, 0, 0, 0) + (encoded("a.b") + b"\0\1\0\1") * 2,
    "a pointer": question(b"\xc0\x0c"),
    "a pointer behind a label": question(b"\x01a\xc0\x0c"),
    "an extended label": question(b"\x41" + b"a" * 65 + b"\0"),
    "a label without end": question(b"\x3fabc")[:20],
    "a name without end": question(b"\x03abc")[:16],
    "no type": question("example.com")[:-4],
    "half a class": question("example.com")[:-1],
    "a name of 256 bytes": question(LONGEST[:-62] + b"\x3e" + b"d" * 62 + b"\0"),
    "a name without bounds": question(b"\x01a" * 2000 + b"\0"),
}


@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_called_so(query: bytes) -> None:
    """The reply has only the number: nothing that wasn't understood is repeated."""
    answer, reply = _ask(query)

    assert answer[1:] == ("", "", "FORMERR")
    assert reply.number == struct.unpack_from("!H", query)[0]
    assert reply.flags & 0xF == 1
    assert reply.question == b""


def test_the_longest_name_is_one() -> None:
    """RFC 1035 2.3.4: 255 bytes."""
    assert len(LONGEST) + 1 == 255
    assert _ask(question(LONGEST + b"\0", more=OPT_RECORD))[0].code == "NXDOMAIN"


@pytest.mark.parametrize("size", [0, 1, 11])
def test_less_than_a_header_is_not_answered(size: int) -> None:
    """Without a number there can be no reply."""
    assert dns.answer(question("example.com")[:size], _address_of).reply is None


def test_answers_are_not_answered() -> None:
    """Two servers would talk to each other for ever."""
    assert dns.answer(question("example.com", flags=QR | RD), _address_of).reply is None


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (b"a.b", r"a\046b"),
        (b"a\\b", r"a\092b"),
        (b"a\x00b", r"a\000b"),
        (b"a b", r"a\032b"),
        (b"A\xc3\x89", r"a\195\137"),
        (b"_x-1*", "_x-1*"),
    ],
)
def test_odd_names_are_unmistakable(label: bytes, shown: str) -> None:
    """No byte can pass for a dot, an end, or a letter of another case (RFC 4343 2.1)."""
    asked: list[str] = []
    query = question(bytes((len(label),)) + label + b"\x03com\0")

    answer = dns.answer(query, asked.append)

    assert asked == [answer.name] == [f"{shown}.com"]


def test_the_root_exists() -> None:
    """`dig` without arguments asks for it. If it did not, no name could (RFC 8020)."""
    answer, reply = _ask(question("", NS))

    assert answer[1:] == ("", "NS", "NOERROR")
    assert reply.answers == []


labels = st.binary(min_size=1, max_size=63)


@given(
    name=st.lists(labels, max_size=3).map(
        lambda each: b"".join(bytes((len(label),)) + label for label in each) + b"\0"
    ),
    kind=st.integers(0, 65535),
    klass=st.sampled_from([1, 1, 1, 0, 3, 255]),
    number=st.integers(0, 65535),
    address=st.none() | st.integers(0, 2**32 - 1).map(lambda each: socket.inet_ntoa(each.to_bytes(4))),
    more=st.sampled_from([b"", OPT_RECORD]),
)  # fmt: skip
def test_every_question_has_its_answer(
    *, name: bytes, kind: int, klass: int, number: int, address: str | None, more: bytes
) -> None:
    """A reply has the question's number and name, and a record only if there is an address."""
    query = struct.pack("!H", number) + question(name, kind, klass=klass, more=more)[2:]
    answer = dns.answer(query, lambda _name: address)

    assert answer.reply is not None
    assert len(answer.reply) < 512
    reply = read(answer.reply)
    assert reply.number == number
    assert reply.question == name + struct.pack("!HH", kind, klass)
    assert answer.name.isascii()
    assert answer.name.isprintable()
    assert len(reply.additional) == bool(more)
    if reply.answers and not answer.name.endswith("localhost"):
        assert address is not None
        assert klass == 1
        assert [each.data for each in reply.answers] == [socket.inet_aton(address)]


@given(start=st.sampled_from([b"", question("example.com")[:12], question("a")]), rest=st.binary())
def test_any_bytes_are_answered_or_dropped(start: bytes, rest: bytes) -> None:
    """Any bytes raise nothing, and every reply can be parsed."""
    answer = dns.answer(start + rest, _address_of)
    if answer.reply is not None:
        assert read(answer.reply).number == int.from_bytes((start + rest)[:2], "big")


@given(
    messages=st.lists(st.binary(max_size=300), max_size=5),
    cuts=st.lists(st.integers(0, 1500), max_size=8),
    rest=st.binary(max_size=1),
)
def test_messages_over_tcp_are_whole(messages: list[bytes], cuts: list[int], rest: bytes) -> None:
    """Messages may be cut or joined anywhere (RFC 7766)."""
    stream = b"".join(len(each).to_bytes(2, "big") + each for each in messages) + rest
    framer = TCPFramer()
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    found = [
        message
        for start, end in itertools.pairwise(places)
        for message in framer.feed(stream[start:end])
    ]

    assert found == messages


def test_the_largest_message_over_tcp() -> None:
    """A message of 65,535 bytes is complete only with its last byte."""
    message = bytes(65535)
    framer = TCPFramer()

    assert framer.feed(b"\xff\xff" + message[:-1]) == []
    assert framer.feed(b"\x00") == [message]
