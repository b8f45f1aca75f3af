"""`$MOAT_HOME/config.yaml`: what the user wants everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "config.yaml"


@dataclass(frozen=True, slots=True)
class Settings:
    escape_keys: str = "ctrl-/"
    """Prefix of the attached terminal's own keys; empty switches them off."""
    interrupt_window: float = 1.5
    """Seconds within which a second Ctrl-C stops a run that takes no input."""
    scrollback: int = 2000
    """Lines above the screen that an attached terminal gets."""
    journal_limit: int = 256 * 1024 * 1024
    """Bytes of a session's output that are kept."""
    stop_timeout: float = 10.0
    """Seconds between asking a command to end and killing it."""


def load(home: Path) -> Settings:
    """The user's settings, or the defaults. Raises `UsageError` with file and line."""
    path = home / FILE
    if not path.exists():
        return Settings()
    from moat.config.document import read  # noqa: PLC0415  YAML only where there is some

    given: dict[str, Any] = read(path, fields())
    if "journal_limit" in given:
        from moat.spec.units import parse_memory  # noqa: PLC0415

        given["journal_limit"] = parse_memory(str(given["journal_limit"]))
    return Settings(**given)


def fields() -> Any:
    """The table of the file's fields (see `config.document`)."""
    from moat.config.fields import Field, not_negative  # noqa: PLC0415
    from moat.spec.units import parse_memory  # noqa: PLC0415

    return {
        "escape_keys": Field("string", "Prefix of the attached terminal's own keys."),
        "interrupt_window": Field("number", "Seconds for a second Ctrl-C.", not_negative),
        "scrollback": Field("integer", "Lines above the screen on attach.", not_negative),
        "journal_limit": Field(
            "quantity", "Output kept, e.g. 256m.", lambda v: parse_memory(str(v))
        ),
        "stop_timeout": Field("number", "Seconds between stop and kill.", not_negative),
    }
