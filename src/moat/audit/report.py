"""The report of the verifier: what was found out about a log. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class UnreadableError(ValueError):
    """The text is no audit log, so nothing can be said about it."""


class Problem(NamedTuple):
    """Something that shows that the log is not what was written, or not all of it."""

    code: str
    """Kind of the problem: format, order, missing, chain, run, content, root, signature, key, file,
    fork, shorter, cut, witness."""
    text: str


class Seen(NamedTuple):
    """What a witness has seen of the log: the largest checkpoint with its cosignature."""

    name: str
    size: int
    time: str


@dataclass
class Report:
    """Findings about a log. Without `problems` the log is the signed one, as far as `signed` goes."""

    run: str = ""
    entries: int = 0
    redacted: int = 0
    """Entries whose content was left out."""
    checkpoints: int = 0
    signed: int = 0
    """The number of entries that the last good checkpoint covers."""
    first_time: str = ""
    last_time: str = ""
    closed: bool = False
    """The last entry says that nothing follows, and is signed."""
    keys: list[bytes] = field(default_factory=list[bytes])
    """The public keys that have signed."""
    trusted: bool = False
    """All of these are known to the one who verifies."""
    files: dict[str, bool] = field(default_factory=dict[str, bool])
    """The files of the bundle: signed entries commit to their content, or only unsigned ones."""
    absent: int = 0
    """Files that the log commits to, and that are not in the bundle."""
    seen: list[Seen] = field(default_factory=list[Seen])
    """For each witness that has seen the log, how much of it."""
    unseen: list[str] = field(default_factory=list[str])
    """The names of the other witnesses that the one who verifies knows."""
    proved: list[int] = field(default_factory=list[int])
    """Single entries that a proof of inclusion binds to the checkpoint."""
    remarks: list[str] = field(default_factory=list[str])
    """Oddities worth a look that are no sign of tampering, such as a clock that went back."""
    problems: list[Problem] = field(default_factory=list[Problem])
