"""Counting the tokens that a language model's response says it consumed. Pure.

The APIs of Anthropic, OpenAI (and compatible ones) and Gemini are recognised by their paths, because
gateways serve them under other names. A response is followed while it passes, whether it comes at once
or as a stream of events; what can't be understood holds nothing up, and is estimated by its length.
Servers are not trusted: what is buffered of a body is bounded, and numbers and names are checked.

Vendors count differently. Here all counts are made comparable, so that the sum of the first four is
everything that was consumed: `input_tokens` came from no cache, `cache_read_tokens` did,
`cache_write_tokens` were put into one, `output_tokens` were generated. `reasoning_tokens` are those of
the output that were spent on thinking. `estimated_tokens` are further ones, of a response that doesn't
say how many it has consumed: a stream that was cut off, or for which no count was asked.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT: Final = 1 << 20
"""Bytes of a body, or of a line of a stream, that are buffered; of a longer one nothing is counted."""
_MOST_PACKED: Final = 64
"""Bytes that one byte may decompress to; models' responses reach a tenth of that, bombs a thousand."""

_PATHS: Final = re.compile(
    r"(?P<anthropic>/v1/messages$)"
    r"|(?P<openai>/(?:chat/completions|completions|responses|embeddings)$)"
    r"|(?P<gemini>:(?:generateContent|streamGenerateContent)$)"
)
_HOSTS: Final = re.compile(
    r"(?P<anthropic>api\.anthropic\.com$)"
    r"|(?P<openai>(?:[a-z0-9-]+\.)?api\.openai\.com$)"
    r"|(?P<gemini>generativelanguage\.googleapis\.com$)"
)
"""Hosts whose every answer is looked into: a path that is spelt otherwise escapes no limit."""
BYTES_OF_TOKEN: Final = 4
"""Bytes of text that are a token, roughly."""
_PATH_MODEL: Final = re.compile(r"/models/([^/:?]+):")
_NAME: Final = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,127}")
# Inside a JSON string, the quotes would be escaped.
_ASKED: Final = re.compile(rb'"model"\s{0,8}:\s{0,8}"([\x21-\x7e]{1,128}?)"')
_ASKED_LENGTH: Final = 192
"""Bytes that match, at most."""
_MOST_TOKENS: Final = 1 << 40

# The names of counts: ours, and those of the vendors.
_COUNTS: Final = (
    ("input_tokens", ("input_tokens", "prompt_tokens", "promptTokenCount")),
    ("tool_tokens", ("toolUsePromptTokenCount",)),
    ("output_tokens", ("output_tokens", "completion_tokens", "candidatesTokenCount")),
    ("cache_read_tokens", ("cache_read_input_tokens", "cachedContentTokenCount")),
    ("cache_write_tokens", ("cache_creation_input_tokens",)),
    ("reasoning_tokens", ("thoughtsTokenCount",)),
)
# OpenAI has some of them in an object of their own: its name, theirs in it, ours.
_DETAILS: Final = (
    ("prompt_tokens_details", "cached_tokens", "cache_read_tokens"),
    ("input_tokens_details", "cached_tokens", "cache_read_tokens"),
    ("completion_tokens_details", "reasoning_tokens", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens", "reasoning_tokens"),
)


def asks_model(method: str, target: str, host: str = "") -> bool:
    """Tell whether a request is one to a language model's API."""
    return method == "POST" and (_provider(target) or _HOSTS.match(host)) is not None


def readable(accepted: bytes) -> bytes:
    """Return those codings of an Accept-Encoding field that can be decoded here."""
    codings = {each.partition(b";")[0].strip().lower() for each in accepted.split(b",")}
    return b", ".join(each for each in (b"gzip", b"deflate") if each in codings) or b"identity"


class RequestedModel:
    """The model that a request's body names, for responses that can't be read."""

    def __init__(self) -> None:
        self.name = ""
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        if self.name:
            return
        text = self._buffer + data
        found = _ASKED.search(text)
        if found is not None:
            self.name = found[1].decode("ascii")
        self._buffer = text[-_ASKED_LENGTH:]


def meter(
    method: str,
    target: str,
    content_type: bytes,
    content_encoding: bytes,
    asked: str = "",
    host: str = "",
) -> Meter | None:
    """Return a meter for a response; `None` if there is nothing to count.

    `asked`: the model that the request's body named, if any.
    """
    by_path = _provider(target) if method == "POST" else None
    by_host = _HOSTS.match(host) if method == "POST" else None
    provider = by_path or (by_host.lastgroup if by_host else None)
    kind = content_type.partition(b";")[0].strip().lower()
    if provider is None or kind not in {b"application/json", b"text/event-stream"}:
        return None
    named = _PATH_MODEL.search(target)
    if not asked and named is not None and _NAME.fullmatch(named[1]):
        asked = named[1]
    coding = content_encoding.strip().lower()
    stream = kind != b"application/json"
    return Meter(provider, coding, asked, stream=stream, certain=by_path is not None)


def _provider(target: str) -> str | None:
    match = _PATHS.search(unquote(target.partition("?")[0]).rstrip("/"))
    return match.lastgroup if match else None


class Meter:
    """A counter of the tokens of one response, which is fed its body."""

    def __init__(
        self, provider: str, coding: bytes, asked: str, *, stream: bool, certain: bool = True
    ) -> None:
        """`asked`: the model that was asked for, until the response names one.

        `certain`: it is a model's response, even if it has no counts.
        """
        self._certain = certain
        self._provider = provider
        self._model = asked
        self._counts: dict[str, int] = {}
        """Tokens as the vendor counts them."""
        self._stream = stream
        self._events: int = 0
        """Events of a stream, each of which brings a token or more."""
        self._unread = False
        """The body could not be read to where it has come."""
        self._buffer = bytearray()
        """The whole body, or the line of a stream that has no end yet."""
        self._room = LIMIT
        """Bytes that may still be decompressed from what has been received."""
        self._given_up = self._unread = coding not in {b"", b"identity", b"gzip", b"deflate"}
        self._decoder = (
            zlib.decompressobj(zlib.MAX_WBITS | 32) if coding in {b"gzip", b"deflate"} else None
        )

    def feed(self, data: bytes) -> None:
        if self._given_up:
            return
        for piece in self._decoded(data):
            if self._stream:
                self._read_lines(piece)
            else:
                self._buffer += piece
            if len(self._buffer) > LIMIT:
                self._give_up()
                return

    def finish(
        self, sent: int = 0, received: int = 0, *, complete: bool = True
    ) -> dict[str, object] | None:
        """Return the counts at the end of a response, even of one that was cut off.

        `sent` and `received`: bytes of the bodies. `complete`: the response was not cut off. The result
        has at least the provider; `None`: it was no model that answered.
        """
        if not self._given_up:
            if self._stream:
                self._read_line(self._buffer)
            else:
                self._read_json(self._buffer)
        self._given_up = True
        self._buffer = bytearray()
        if not (self._certain or self._counts):
            return None
        estimated = self._estimate(sent, received, complete=complete)
        more = {"estimated_tokens": estimated} if estimated else {}
        named: dict[str, object] = {"model": self._model} if self._model else {}
        return {"provider": self._provider} | named | self._comparable() | more

    def _estimate(self, sent: int, received: int, *, complete: bool) -> int:
        """Return about how many tokens were consumed besides those that are counted."""
        if complete and self._counts:
            return 0
        readable = self._stream and not self._unread
        output = self._events if readable else received // BYTES_OF_TOKEN
        missing = max(0, output - self._counts.get("output_tokens", 0))
        if "input_tokens" not in self._counts:
            missing += sent // BYTES_OF_TOKEN
        return missing

    def _comparable(self) -> dict[str, int]:
        """Return the counts in the way that is common to all providers."""
        counts = dict(self._counts)
        consumed = counts.get("input_tokens", 0) + counts.pop("tool_tokens", 0)
        if self._provider != "anthropic":
            consumed = max(0, consumed - counts.get("cache_read_tokens", 0))
        if "input_tokens" in counts:
            counts["input_tokens"] = consumed
        if self._provider == "gemini" and "reasoning_tokens" in counts:
            counts["output_tokens"] = counts.get("output_tokens", 0) + counts["reasoning_tokens"]
        return counts

    def _give_up(self) -> None:
        self._given_up = self._unread = True
        self._buffer = bytearray()

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            yield data
            return
        self._room += _MOST_PACKED * len(data)
        try:
            while data and self._room > 0:  # in pieces: a few bytes may decompress to gigabytes
                piece = self._decoder.decompress(data, LIMIT)
                self._room -= len(piece)
                yield piece
                data = self._decoder.unconsumed_tail
        except zlib.error:
            self._give_up()
        if self._room <= 0:
            self._give_up()

    def _read_lines(self, piece: bytes) -> None:
        # Only what is new is searched: a server may send a long line in pieces of a byte.
        first, *others = piece.split(b"\n")
        self._buffer += first
        for each in others:
            self._read_line(self._buffer)
            self._buffer = bytearray(each)

    def _read_line(self, line: bytes | bytearray) -> None:
        """Read a line of a stream; only few events mention tokens."""
        if not line.startswith(b"data:"):
            return
        self._events += 1
        if b"sage" in line or b'"model' in line:
            self._read_json(line[5:])

    def _read_json(self, text: bytes | bytearray) -> None:
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            return
        # Gemini streams without alt=sse are an array.
        for each in cast("list[object]", value) if isinstance(value, list) else [value]:
            self._read_object(each)
            for inner in ("message", "response"):  # Anthropic's message_start, OpenAI's responses
                if isinstance(each, dict):
                    self._read_object(cast("dict[str, object]", each).get(inner))

    def _read_object(self, value: object) -> None:
        if not isinstance(value, dict):
            return
        value = cast("dict[str, Any]", value)
        model: object = value.get("model") or value.get("modelVersion")
        if isinstance(model, str) and _NAME.fullmatch(model):
            self._model = model
        counts = value.get("usage") or value.get("usageMetadata")
        if not isinstance(counts, dict):
            return
        counts = cast("dict[str, Any]", counts)
        for ours, names in _COUNTS:
            for name in names:
                self._count(ours, counts.get(name))
        for detail, name, ours in _DETAILS:
            details = counts.get(detail)
            if isinstance(details, dict):
                self._count(ours, cast("dict[str, Any]", details).get(name))

    def _count(self, name: str, value: object) -> None:
        """Set a count; those in a stream are totals so far, so the last one holds."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS:
            self._counts[name] = value
