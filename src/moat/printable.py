"""Text that a hostile program or file may have chosen, made harmless for a terminal. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape all but printable ASCII: it can't act on a terminal, and no letters look alike."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode()


def without_controls(text: str) -> str:
    """Escape what isn't printable, such as control characters, and leave other letters as they are."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
