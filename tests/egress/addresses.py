"""Addresses of the loopback network for servers that have to listen on a given port."""

from __future__ import annotations

import os
from itertools import count

_numbers = count(2)


def own_address() -> str:
    """Return an address of this process alone: others run tests at the same time."""
    process = os.getpid()
    return f"127.{64 | (process >> 8) & 63}.{process & 255}.{next(_numbers) % 250 + 1}"
