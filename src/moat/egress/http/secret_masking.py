"""Masking the credentials of the host's proxy in what that proxy answers. Pure.

The error page of a proxy may repeat the request that it got, with our password (as Squid's did:
CVE-2025-62168), and a hostile program can ask for such a page.
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
        # The longest first, because one may begin with another.
        self._any = re.compile(b"|".join(re.escape(each) for each in self._secrets[::-1]))

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def masked(self, text: bytes) -> bytes:
        """Replace every secret by as many bytes, so that an announced length stays right."""
        return self._any.sub(lambda found: b"*" * len(found[0]), text)

    def partial_end(self, text: bytes) -> int:
        """Return how many bytes at the end of the text may be the beginning of a secret."""
        most = len(self._secrets[-1]) - 1
        for size in range(min(most, len(text)), 0, -1):
            if any(each.startswith(text[-size:]) for each in self._secrets):
                return size
        return 0
