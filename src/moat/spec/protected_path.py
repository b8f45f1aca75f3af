"""Paths that the user protects besides those that Moat knows, and the form of their patterns. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

Treatment = Literal["read-only", "watched"]

_MAX_LENGTH: Final = 1024
# Each star is looked for in each name of each folder, while the user waits.
_MAX_STARS: Final = 4


@dataclass(frozen=True, slots=True)
class ProtectedPath:
    """A row that settings or `agent.yaml` add to the table of protected paths."""

    path: str
    """A pattern for relative paths, which holds at any depth of the workspace; see `check_pattern`."""
    program: str = "your settings"
    """The program that obeys the path."""
    treatment: Treatment = "read-only"


def check_pattern(path: str) -> None:
    """Check a pattern: names with a slash between them, in which a star is any part of a name.

    Raises `ValueError`.
    """
    names = path.split("/")
    if path.startswith(("/", "~")):
        raise ValueError(f"{path!r} must be relative: it is looked for in every folder")
    if not all(names) or {".", ".."} & {*names}:
        raise ValueError(f"{path!r} must be names with one slash between them, without . and ..")
    if "**" in path:
        raise ValueError(f"{path!r} has a **, which isn't needed: every folder is searched")
    if not names[0].strip("*"):
        raise ValueError(f"{path!r} begins with a star alone, which is every name")
    if len(path) > _MAX_LENGTH or path.count("*") > _MAX_STARS:
        raise ValueError(
            f"{path[:40]!r} is too long: {_MAX_LENGTH} characters and {_MAX_STARS} stars at most"
        )
    if any(ord(each) < ord(" ") for each in path):
        raise ValueError(f"{path!r} has a control character")
