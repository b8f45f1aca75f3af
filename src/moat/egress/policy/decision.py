"""Decisions of a policy: a verdict, the rule behind it, and what to tell whoever asked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final


class Verdict(StrEnum):
    ALLOW = auto()
    DENY = auto()
    ASK = auto()
    """The request waits for the user's answer."""


_FROM_LENIENT_TO_STRICT: Final = (Verdict.ALLOW, Verdict.ASK, Verdict.DENY)


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    rule: str
    """The rule as it was written, or `policy: MODE` where none matched."""
    reason: str = ""
    """One line of ASCII: what is denied, by which rule, and what to change. Empty if allowed."""
    status: int = 403
    """The status by which HTTP tells a denial."""
    answer: bytes = b""
    """JSON that tells the denial in the client's own protocol, in place of the reason."""

    @property
    def strictness(self) -> int:
        """The rank of the verdict: of several decisions about one request, the strictest holds."""
        return _FROM_LENIENT_TO_STRICT.index(self.verdict)

    @property
    def why(self) -> str:
        """The reason as the record keeps it, where everything is said by Moat."""
        return self.reason.removeprefix("moat: ")


def denial_header(decision: Decision) -> bytes:
    """Return the value of X-Moat-Denied, by which programs tell a denial."""
    rule = re.sub(r"[^\x20-\x7e]", "?", decision.rule)
    return f"rule={rule}".encode("ascii")
