"""The throughput of the emulator and the filter, and the cost of attaching.

Run: python bench/screen.py [MB]
"""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING

from moat.session.terminal.filter import OutputFilter
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 * 1024
SIZE = TerminalSize(120, 40)


def plain() -> bytes:
    return b"The quick brown fox jumps over the lazy dog, and says so in plain text.\r\n"


def unicode_text() -> bytes:
    return "Größe 你好 — ── ✓ naïve café, 東京\r\n".encode()


def full_screen() -> bytes:
    """Return repaints as an editor sends them, with a sequence in every eight bytes."""
    rng = random.Random(1)
    rows: list[bytes] = []
    for _ in range(50):
        for y in range(1, SIZE.rows):
            words = b" ".join(
                b"\x1b[%dm%b\x1b[m" % (rng.choice((1, 31, 32, 7)), b"word" * rng.randrange(1, 4))
                for _ in range(8)
            )
            rows.append(b"\x1b[%d;1H\x1b[38;5;%dm%4d\x1b[m %b\x1b[K" % (y, y, y, words))
        rows.append(b"\x1b[?25l\x1b[10;20H\x1b[?25h")
    return b"".join(rows)


def speed(feed: Callable[[bytes], object], data: bytes) -> float:
    started = time.perf_counter()
    for start in range(0, len(data), CHUNK):
        feed(data[start : start + CHUNK])
    return len(data) / 1e6 / (time.perf_counter() - started)


def milliseconds(action: Callable[[], object], times: int = 20) -> float:
    best = min(timed(action) for _ in range(times))
    return best * 1e3


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def resident() -> float:
    with open("/proc/self/statm") as statm:  # noqa: PTH123  a file of procfs
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(f"{'MB/s':14}{'emulator':>10}{'filter':>10}")
    for output in (plain, unicode_text, full_screen):
        once = output()
        data = once * (megabytes * 1_000_000 // len(once) + 1)
        screen = Screen(SIZE, 2000)
        emulated = speed(screen.feed, data)
        screen.close()
        print(f"{output.__name__:14}{emulated:10.0f}{speed(OutputFilter().feed, data):10.0f}")
    before = resident()
    screen = Screen(SIZE, 2000)
    for n in range(20_000):
        screen.feed(b"\x1b[38;5;%dm%d\x1b[m some text that says something\r\n" % (n % 256, n))
    print(f"\nscreen with 2000 lines above it: {resident() - before:.1f} MB")
    for name, action in {
        "restore with scrollback": screen.restore,
        "restore without": lambda: screen.restore(scrollback=False),
        "picture for 100x30": lambda: screen.rows_vt(0, 100, 30),
        "snapshot": screen.snapshot,
        "contents": screen.contents,
    }.items():
        print(f"{name:28}{milliseconds(action):8.2f} ms")


if __name__ == "__main__":
    main()
