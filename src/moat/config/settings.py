"""`$MOAT_HOME/config.yaml`: the user's settings for all runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from moat.ground import own

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moat.config.certificates import CertificateFile
    from moat.config.fields import Field
    from moat.spec import ProtectedPath

FILE: Final = own.SETTINGS
Trust = Literal["always", "ask", "never"]
TRUSTS: Final[tuple[Trust, ...]] = ("always", "ask", "never")


@dataclass(frozen=True, slots=True)
class Settings:
    escape_keys: str = "ctrl-/"
    """Prefix of the attached terminal's own keys; empty turns them off."""
    prefix_timeout: float = 0.5
    """Seconds after which a prefix alone is the program's; 0: it waits for the next key."""
    status_row: bool = True
    """Show Moat's own lines on the last row of an attached terminal."""
    interrupt_window: float = 1.5
    """Seconds within which a second Ctrl-C stops a run that takes no input."""
    scrollback: int = 2000
    """Lines above the screen that a terminal gets when it attaches."""
    scrollback_memory: int = 64 * 1024 * 1024
    """Bytes that those lines take at most."""
    journal_limit: int = 256 * 1024 * 1024
    """Bytes of a session's output that are kept."""
    traffic_limit: int = 256 * 1024 * 1024
    """Bytes of the record of a run's network traffic."""
    notifications: str = "pass"
    """`pass` or `drop` a program's notifications to the terminals of its viewers."""
    stop_timeout: float = 10.0
    """Seconds between asking a command to end and killing it."""
    trust_project: Trust = "ask"
    """Whether what a project's file opens holds; see `config.consent`."""
    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Paths of the host's programs that Moat starts, where the user has chosen them."""
    protected_paths: tuple[ProtectedPath, ...] = ()
    """Paths that are protected in all runs, besides those that Moat knows."""
    network: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `network`, in which `upstream_ca` is a `CertificateFile`."""


def load(home: Path) -> Settings:
    """Return the user's settings, or the defaults. Raises `UsageError` with file and line."""
    path = home / FILE
    if not path.exists():
        return Settings()
    own.check_settings(str(home))
    from moat.config.certificates import CertificateFile  # noqa: PLC0415  as above
    from moat.config.document import read  # noqa: PLC0415  loads YAML only where there is a file
    from moat.config.network_fields import absolute  # noqa: PLC0415

    @cache  # what has been checked is what is used
    def authorities(text: str) -> CertificateFile:
        return CertificateFile.read(absolute(text))

    values: dict[str, Any] = read(path, fields(authorities))
    for name in {"journal_limit", "scrollback_memory", "traffic_limit"} & values.keys():
        from moat.spec.units import parse_memory  # noqa: PLC0415

        values[name] = parse_memory(str(values[name]))
    if "protected_paths" in values:
        from moat.config.protected_paths import protected_paths  # noqa: PLC0415

        values["protected_paths"] = protected_paths(values)
    network: dict[str, Any] = values.get("network", {})
    if "upstream_ca" in network:
        network["upstream_ca"] = authorities(network["upstream_ca"])
    return Settings(**values)


def fields(check_authorities: Callable[[str], object] | None = None) -> dict[str, Field]:
    """Return the table of the file's fields (see `config.document`).

    `check_authorities` checks `network.upstream_ca`; a table that checks no file has none.
    """
    from moat.config import network_fields, protected_paths  # noqa: PLC0415
    from moat.config.fields import Field, at_least, check_absolute, not_negative  # noqa: PLC0415
    from moat.ground import programs  # noqa: PLC0415
    from moat.spec.units import parse_memory  # noqa: PLC0415

    return {
        "escape_keys": Field(
            "string", "Prefix of the attached terminal's own keys; empty turns them off."
        ),
        "prefix_timeout": Field(
            "number",
            "Seconds after which a prefix alone goes to the program; 0: it waits for the next key.",
            not_negative,
        ),
        "status_row": Field(
            "boolean",
            "Show lines of Moat's own (hints, questions) on the last row of an attached terminal.",
        ),
        "interrupt_window": Field(
            "number",
            "Seconds within which a second Ctrl-C stops a run that takes no input.",
            not_negative,
        ),
        "scrollback": Field(
            "integer", "Lines above the screen that a terminal gets on attach.", not_negative
        ),
        "scrollback_memory": Field(
            "quantity",
            "Memory that those lines may take, like 64m; the oldest go first.",
            lambda v: parse_memory(str(v)),
        ),
        "journal_limit": Field(
            "quantity",
            "Output of a session that is kept, like 256m.",
            lambda v: parse_memory(str(v)),
        ),
        "traffic_limit": Field(
            "quantity",
            "The record of a run's network traffic, at least 1m; of what is older, sums are kept.",
            lambda v: at_least(parse_memory(str(v)), 1 << 20, "1m"),
        ),
        "notifications": Field(
            "enum",
            "What becomes of a program's notifications (OSC 9 and 777) to attached terminals.",
            choices=("pass", "drop"),
        ),
        "stop_timeout": Field(
            "number", "Seconds between asking a command to end and killing it.", not_negative
        ),
        "trust_project": Field(
            "enum",
            "Whether what agent.yaml opens holds: without asking, once you have agreed to it, or not"
            " at all.",
            choices=TRUSTS,
        ),
        "programs": Field(
            "object",
            "Programs that Moat starts, where they aren't to be found in the system's folders.",
            fields={
                name: Field("string", f"Absolute path of {name}.", check_absolute)
                for name in programs.NAMES
            },
        ),
        "protected_paths": protected_paths.FIELD,
        "network": Field(
            "object",
            "What all runs may reach, and how. It comes before what a project says.",
            fields=network_fields.user_fields(check_authorities),
        ),
    }
