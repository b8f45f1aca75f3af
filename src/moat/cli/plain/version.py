"""`moat version`."""

from __future__ import annotations

import sys

from moat.version import __version__


def carry_out() -> None:
    sys.stdout.write(f"moat {__version__}\n")
