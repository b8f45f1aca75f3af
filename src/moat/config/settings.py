"""`$MOAT_HOME/config.yaml`: the user's settings for all runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moat.spec import ProtectedPath

FILE: Final = "config.yaml"


@dataclass(frozen=True, slots=True)
class Settings:
    escape_keys: str = "ctrl-/"
    """Prefix of the attached terminal's own keys; empty turns them off."""
    interrupt_window: float = 1.5
    """Seconds within which a second Ctrl-C stops a run that takes no input."""
    scrollback: int = 2000
    """Lines above the screen that a terminal gets when it attaches."""
    journal_limit: int = 256 * 1024 * 1024
    """Bytes of a session's output that are kept."""
    stop_timeout: float = 10.0
    """Seconds between asking a command to end and killing it."""
    protected_paths: tuple[ProtectedPath, ...] = ()
    """Paths that are protected in all runs, besides those that Moat knows."""
    network: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `network`, with absolute paths; see `config.network`."""

    @property
    def trust_project(self) -> bool:
        """True where `agent.yaml` may open anything, and not only deny."""
        return self.network.get("trust_project", True)


def load(home: Path) -> Settings:
    """Return the user's settings, or the defaults. Raises `UsageError` with file and line."""
    path = home / FILE
    if not path.exists():
        return Settings()
    from moat.config.document import read  # noqa: PLC0415  loads YAML only where there is a file

    values: dict[str, Any] = read(path, fields())
    if "journal_limit" in values:
        from moat.spec.units import parse_memory  # noqa: PLC0415

        values["journal_limit"] = parse_memory(str(values["journal_limit"]))
    if "protected_paths" in values:
        from moat.config.protected_paths import protected_paths  # noqa: PLC0415

        values["protected_paths"] = protected_paths(values)
    network: dict[str, Any] = values.get("network", {})
    if "upstream_ca" in network:
        from moat.config.network_fields import expanded  # noqa: PLC0415

        network["upstream_ca"] = str(expanded(network["upstream_ca"]))
    return Settings(**values)


def fields() -> Any:
    """Return the table of the file's fields (see `config.document`)."""
    from moat.config import network_fields, protected_paths  # noqa: PLC0415
    from moat.config.fields import Field, not_negative  # noqa: PLC0415
    from moat.spec.units import parse_memory  # noqa: PLC0415

    return {
        "escape_keys": Field(
            "string", "Prefix of the attached terminal's own keys; empty turns them off."
        ),
        "interrupt_window": Field(
            "number",
            "Seconds within which a second Ctrl-C stops a run that takes no input.",
            not_negative,
        ),
        "scrollback": Field(
            "integer", "Lines above the screen that a terminal gets on attach.", not_negative
        ),
        "journal_limit": Field(
            "quantity",
            "Output of a session that is kept, like 256m.",
            lambda v: parse_memory(str(v)),
        ),
        "stop_timeout": Field(
            "number", "Seconds between asking a command to end and killing it.", not_negative
        ),
        "protected_paths": protected_paths.FIELD,
        "network": Field(
            "object",
            "What all runs may reach, and how. It comes before what a project says.",
            fields=network_fields.user_fields(),
        ),
    }
