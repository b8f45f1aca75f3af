"""Figures of an attached terminal: echo, floods, and the time until something is shown."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from measure import Figure, median, percentile
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contenders import Contender, Place

ECHOES = 2000
ATTACHES = 50
FLOOD_BYTES = 50_000_000
FLOODS = 3

_ECHO = "busybox stty raw -echo; printf READY; exec busybox cat"
# The shell puts the marker together, so that the echo of the command line doesn't look like it.
_FLOOD = "while read x; do busybox cat lines; printf 'END%s\\r\\n' OFLINES; done"
_LINE = b"The quick brown fox jumps over the lazy dog, line %09d of a long one.\n"
# Bytes that are part of no escape sequence that a terminal is sent here.
_KEYS = (b"&", b"*", b"+", b"@", b"^", b"~")


def echo(contender: Contender, place: Place) -> Iterator[Figure]:
    session = contender.start(_ECHO)
    with Terminal(contender.attach(session), place.environment) as terminal:
        _settle(terminal)
        keys = itertools.islice(itertools.cycle(_KEYS), ECHOES)
        times = [terminal.seconds_until(key, after_typing=key) for key in keys]
    contender.end(session)
    yield Figure("echo p50", median(times) * 1e6, "µs")
    yield Figure("echo p99", percentile(times, 99) * 1e6, "µs")


def flood(contender: Contender, place: Place) -> Iterator[Figure]:
    with (place.work / "lines").open("wb") as file:
        for number in range(FLOOD_BYTES // len(_LINE % 0)):
            file.write(_LINE % number)
    session = contender.start(_FLOOD)
    with Terminal(contender.attach(session), place.environment) as terminal:
        _settle(terminal)
        times = [terminal.seconds_until(b"ENDOFLINES", after_typing=b"\r") for _ in range(FLOODS)]
    contender.end(session)
    yield Figure("50 MB flood", FLOOD_BYTES / 1e6 / median(times), "MB/s", more_is_better=True)


def first_paint(contender: Contender, place: Place) -> Iterator[Figure]:
    session = contender.start(_ECHO)
    with Terminal(contender.attach(session), place.environment) as terminal:
        _settle(terminal)
    typed, seen = (b"", b"READY") if contender.paints else (b"&", b"&")
    times = [_attach(contender, session, place, typed, seen) for _ in range(ATTACHES)]
    contender.end(session)
    yield Figure("attach to first painted byte, p50", median(times) * 1e3, "ms")


def _attach(contender: Contender, session: str, place: Place, typed: bytes, seen: bytes) -> float:
    started = time.perf_counter()
    with Terminal(contender.attach(session), place.environment, typed) as terminal:
        terminal.read_until(seen)
        return time.perf_counter() - started


def _settle(terminal: Terminal) -> None:
    """Type until the program answers. It may have printed its prompt before anybody was attached."""
    terminal.type(b"\r")
    terminal.read()
    terminal.drain()
