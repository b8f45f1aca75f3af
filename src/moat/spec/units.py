"""Amounts as people write them: `512m` of memory, `1h30m` of time, `2m` tokens. Pure."""

from __future__ import annotations

import math
import re
from typing import Final

from moat.errors import UsageError

# Binary multiples, whether written k, kb or kib: the convention of docker and systemd.
_BYTES: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)([bkmgt]?)(?:(?<=[kmgt])i?b)?", re.ASCII)

# Decimal multiples, as prices and context windows are written.
_COUNTS: Final = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_COUNT: Final = re.compile(r"(\d+(?:\.\d+)?)([kmb]?)", re.ASCII)

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_PLAIN: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_memory(text: str) -> int:
    """Return the number of bytes. Raises `UsageError` for anything but a positive amount."""
    match = _MEMORY.fullmatch(text.strip().lower())
    amount = int(float(match[1]) * _BYTES[match[2]]) if match and len(match[1]) < 20 else 0
    if amount < 1:
        raise UsageError(f"{text!r} is not an amount of memory", "Write it like 512m or 2g")
    return amount


def parse_count(text: str) -> int:
    """Return a number of things. Raises `UsageError` for anything but a positive number."""
    match = _COUNT.fullmatch(text.strip().lower())
    count = int(float(match[1]) * _COUNTS[match[2]]) if match and len(match[1]) < 16 else 0
    if count < 1:
        raise UsageError(f"{text!r} is not a number of things", "Write it like 500, 20k or 2m")
    return count


def parse_duration(text: str) -> float:
    """Return the number of seconds, which may be zero. Raises `UsageError` for anything else."""
    plain = text.strip().lower()
    if _PLAIN.fullmatch(plain):
        seconds = float(plain)
    else:
        parts = [(float(amount), unit) for amount, unit in _PART.findall(plain)]
        if not parts or _PART.sub("", plain):
            raise _not_a_duration(text)
        seconds = math.fsum(amount * _SECONDS[unit] for amount, unit in parts)
    if not math.isfinite(seconds):
        raise _not_a_duration(text)
    return seconds


def _not_a_duration(text: str) -> UsageError:
    return UsageError(f"{text!r} is not a length of time", "Write it like 10s, 1h30m or 500ms")
