"""A user's agreement: what a project's file opens, and the restrictions beside it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One thing that a project's file opens, or one restriction in it."""

    field: str
    """The name of the field, such as `network.allow`."""
    value: str
    opens: bool
    """False for a restriction."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The consent of a user to all lines together."""

    at: str
    """RFC 3339, UTC."""
    lines: tuple[Line, ...] = ()
    """The lines in their canonical order; see `config.openings`."""
