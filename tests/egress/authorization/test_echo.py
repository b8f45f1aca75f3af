"""Secrets that servers send back, in whatever pieces and codings they come."""

from __future__ import annotations

import base64
import gzip
import itertools
import tracemalloc
import zlib
from collections import deque
from typing import TYPE_CHECKING

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.authorization.echo import (
    CodedSearch,
    EchoFoundError,
    MaskingSearch,
    UndecodableError,
)
from moat.egress.authorization.forms import echoes

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
SECRETS = echoes({"token": SECRET, "username": "somebody-long"})


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(each % (len(data) + 1) for each in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    "encode",
    [
        str.encode,
        lambda text: base64.b64encode(text.encode()),
        lambda text: base64.b64encode(f"x-access-token:{text}".encode()),
        lambda text: base64.urlsafe_b64encode(f"ab:{text}:c".encode()),
        lambda text: text.encode().hex().encode(),
        lambda text: text.encode().hex().upper().encode(),
    ],
    ids=["plain", "base64", "basic", "urlsafe", "hex", "upper"],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_a_secret_is_masked_however_it_is_cut(
    encode: Callable[[str], bytes], cuts: list[int]
) -> None:
    """The text around it passes, as long as it was; of the secret, no more than a beginning."""
    body = b'{"you sent": "' + encode(SECRET) + b'"}'
    search = MaskingSearch("github", SECRETS)
    passed = b"".join(
        b"".join(map(bytes, search.feed([each]))) for each in pieces_of(body, cuts)
    ) + b"".join(map(bytes, search.end()))
    assert search.found
    assert len(passed) == len(body)
    assert passed.startswith(b'{"you sent": "')
    assert passed.endswith(b'"}')
    assert encode(SECRET)[8:-4] not in passed
    assert b"*" * 24 in passed


@pytest.mark.parametrize(
    "escaped",
    [
        "a+b/c==d&e0123",
        "a%2Bb%2Fc%3D%3Dd%26e0123",
        "a%2bb%2fc%3d%3dd%26e0123",
        "a%2Bb/c%3D%3Dd%26e0123",
        r"a+b\/c==d&e0123",
        r"a+b/c==d\u0026e0123",
        r"a+b/c\u003d\u003dd\u0026e0123",
        r"a\u002Bb/c==d\u0026e0123",
        "a+b/c==d&amp;e0123",
        "a+b&#x2F;c&#x3D;&#x3D;d&amp;e0123",
        "a&#x2B;b/c==d&amp;e0123",
        "a&#43;b/c==d&amp;e0123",
    ],
)
def test_a_secret_is_masked_however_a_library_escapes_it(escaped: str) -> None:
    """Keys of AWS and many tokens have such characters."""
    search = MaskingSearch("aws", echoes({"token": "a+b/c==d&e0123"}))
    passed = b"".join(map(bytes, search.feed([f"<{escaped}>".encode()], ends=True)))
    assert passed == b"<" + b"*" * len(escaped) + b">"


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_a_body_that_grows_out_of_all_proportion_is_broken_off(coding: bytes) -> None:
    """A bomb: it would take the memory of the supervisor, which holds one piece of text at a time."""
    zeros = bytes(1 << 26)
    body = gzip.compress(zeros, 1) if coding == b"gzip" else brotli.compress(zeros, quality=1)
    assert len(body) * 200 < len(zeros)
    search = CodedSearch("github", SECRETS, coding)
    tracemalloc.start()
    with pytest.raises(UndecodableError, match="200 times its size"):
        search.feed([body])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 23


def test_an_event_is_not_held_back_for_a_common_letter() -> None:
    """What a stream says passes at once, even if it ends like a secret begins."""
    search = MaskingSearch("github", SECRETS)
    assert search.feed([b"data: ghp"]) == [b"data: ghp"]
    assert search.feed([b"\n\n"]) == [b"\n\n"]


def test_a_user_name_is_no_secret() -> None:
    """Responses may name the user, as most do."""
    search = MaskingSearch("github", SECRETS)
    assert search.feed([b"somebody-long"]) == [b"somebody-long"]
    assert not search.found


def deflate_raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


CODED = pytest.mark.parametrize(
    ("coding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"gzip", lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:])),
        (b"deflate", zlib.compress),
        (b"deflate", deflate_raw),
        (b"br", brotli.compress),
    ],
    ids=["gzip", "members", "zlib", "raw", "br"],
)


@CODED
@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_a_coded_body_without_a_secret_passes_unchanged(
    coding: bytes, encode: Callable[[bytes], bytes], cuts: list[int]
) -> None:
    """Its checksums stay right, because it is not coded anew."""
    body = encode(b"nothing to see but ghp_AbCdEf" * 3)
    search = CodedSearch("github", SECRETS, coding)
    passed = [piece for each in pieces_of(body, cuts) for piece in search.feed([each])]
    assert b"".join(map(bytes, [*passed, *search.end()])) == body


@CODED
@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_a_coded_body_with_a_secret_is_broken_off_before_it_is_whole(
    coding: bytes, encode: Callable[[bytes], bytes], cuts: list[int]
) -> None:
    """What has passed of it can't be decoded to the secret."""
    body = encode(b'{"you sent": "' + SECRET.encode() + b'"}')
    search = CodedSearch("github", SECRETS, coding)
    with pytest.raises(EchoFoundError):
        deque(map(search.feed, ([each] for each in pieces_of(body, cuts))))


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_a_body_that_is_not_coded_as_it_says_does_not_pass(coding: bytes) -> None:
    """What can't be searched isn't passed on."""
    search = CodedSearch("github", SECRETS, coding)
    with pytest.raises(UndecodableError):
        search.feed([b"this is no compressed text, and never was"])
