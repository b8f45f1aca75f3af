"""Masking secrets in what a server answers that got them: a proxy of the host's, or a server. Pure.

An answer may repeat the request. The error page of a proxy had our password (Squid's: CVE-2025-62168),
and a hostile program can ask for such a page.
"""

from __future__ import annotations

import re
from typing import Final

MIN_LENGTH: Final = 8
"""Bytes of a secret. A shorter one is easily guessed, and part of any text."""


class Secrets:
    """Several secrets, to be found byte for byte."""

    def __init__(self, *secrets: bytes) -> None:
        self._secrets = sorted({each for each in secrets if len(each) >= MIN_LENGTH}, key=len)
        self.shortest = len(self._secrets[0]) if self._secrets else 0
        """The length of the shortest one; a shorter text needs no search."""
        # The longest first, because one may begin with another.
        self._any = re.compile(b"|".join(re.escape(each) for each in self._secrets[::-1]))

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def masked(self, text: bytes) -> bytes:
        """Replace every secret by as many bytes, so that an announced length stays right."""
        return self._any.sub(lambda found: b"*" * len(found[0]), text)

    def found_in(self, text: bytes) -> bool:
        # Faster than the expression, which is for the one text in a million that has a secret.
        for each in self._secrets:
            if len(each) > len(text):
                return False  # and so are those that follow
            if each in text:
                return True
        return False

    def partial_end(self, text: bytes, least: int = 1) -> int:
        """Return how many bytes at the end of the text may be the beginning of a secret.

        `least`: fewer than so many don't count.
        """
        return max((_overlap(text, each, least) for each in self._secrets), default=0)


def _overlap(text: bytes, secret: bytes, least: int) -> int:
    """Return the length of the longest beginning of the secret that the text ends with."""
    start = secret[:least]
    at = text.find(start, max(0, len(text) - len(secret) + 1))
    while at >= 0:
        if secret.startswith(text[at:]):
            return len(text) - at
        at = text.find(start, at + 1)
    return 0
