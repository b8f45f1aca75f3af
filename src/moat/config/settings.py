"""`$MOAT_HOME/config.yaml`: what the user wants everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    network: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the file says under `network`, checked, with its path absolute; see `config.network`."""

    @property
    def trust_project(self) -> bool:
        """Whether `agent.yaml` may make anything reachable that would not be."""
        return self.network.get("trust_project", True)


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
    network: dict[str, Any] = given.get("network", {})
    if "upstream_ca" in network:
        from moat.config.network_fields import user_path  # noqa: PLC0415

        network["upstream_ca"] = str(user_path(network["upstream_ca"]))
    return Settings(**given)


def fields() -> Any:
    """The table of the file's fields (see `config.document`)."""
    from moat.config import network_fields  # noqa: PLC0415
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
        "network": Field(
            "object",
            "What all runs may reach, and how; before what a project says.",
            fields=network_fields.of_user(),
        ),
    }
