"""What nobody in the sandbox may read, taken out of what a proxy says. Pure.

The page with which a proxy tells of an error may repeat the request that it was given, our password
included (CVE-2025-62168 is Squid's), and a hostile program can ask for such a page.
"""

from __future__ import annotations

import re
from typing import Final

LEAST: Final = 8
"""Bytes of a secret: a shorter one is guessed as soon as read, and stands in any text."""


class Secrets:
    """Several, to be found as they are."""

    def __init__(self, *secrets: bytes) -> None:
        self._secrets = sorted({each for each in secrets if len(each) >= LEAST}, key=len)
        # The longer first: one may begin with another.
        self._any = re.compile(b"|".join(re.escape(each) for each in self._secrets[::-1]))

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def masked(self, text: bytes) -> bytes:
        """As long as it was, so that no length that was said before becomes wrong."""
        return self._any.sub(lambda found: b"*" * len(found[0]), text)

    def begun(self, text: bytes) -> int:
        """How many bytes at the end may be the beginning of one."""
        most = len(self._secrets[-1]) - 1
        for size in range(min(most, len(text)), 0, -1):
            if any(each.startswith(text[-size:]) for each in self._secrets):
                return size
        return 0
