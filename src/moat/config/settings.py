"""`$MOAT_HOME/config.yaml`: the user's settings for all runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from moat.ground import own

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moat.config.audit import WitnessSetting
    from moat.config.certificates import CertificateFile
    from moat.config.fields import Field
    from moat.runs.retention import Retention
    from moat.spec import EventHook, ModelPrice, Notify, ProtectedPath

FILE: Final = own.SETTINGS
Trust = Literal["always", "ask", "never"]
TRUSTS: Final[tuple[Trust, ...]] = ("always", "ask", "never")

# Ghostty's core is the emulator that programs talk to, so what they do for Ghostty is right.
TERM_PROGRAM: Final = "ghostty"


@dataclass(frozen=True, slots=True)
class RouterSettings:
    enabled: bool = True
    """A run with named ports starts the router, which gives them host names."""
    port: int = 8080
    """The router's port; 0: a free one."""


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
    notify: Notify = "off"
    """The way to tell the user that a run wants them; see `supervisor.notify`."""
    on_event: tuple[EventHook, ...] = ()
    """Commands that are started when something happens to a run; see `config.hooks`."""
    terminal: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `terminal`: what programs may do to viewers' terminals."""
    answer_timeout: float = 10.0
    """Seconds that a run's supervisor may take to answer a command, before that gives up."""
    stop_timeout: float = 10.0
    """Seconds between asking a command to end and killing it."""
    spare: bool = True
    """A start leaves a process behind that makes the next ones quicker; see `supervisor.spare`."""
    trust_project: Trust = "ask"
    """The rule for what a project's file opens; see `config.consent`."""
    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Paths of the host's programs that Moat starts, where the user has chosen them."""
    env: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Variables of all runs; see `config.environment`."""
    mounts: tuple[str, ...] = ()
    """Mounts of all runs, `SRC:DST[:ro|rw]`."""
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `limits`; see `config.limits`."""
    workspace: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `workspace`; see `config.workspace_mode`."""
    retention: Retention | None = None
    """Upper bounds for runs that have ended; see `client.upkeep`."""
    audit: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `audit`; see `config.audit`."""
    prices: tuple[ModelPrice, ...] = ()
    """Prices of language models; see `config.budget`."""
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """References to secrets that all runs get, by the names of their variables."""
    protected_paths: tuple[ProtectedPath, ...] = ()
    """Paths that are protected in all runs, besides those that Moat knows."""
    router: RouterSettings = field(default_factory=RouterSettings)
    """See `moat.router`."""
    snapshots: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `snapshots`; see `config.snapshots`."""
    telemetry: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `telemetry`; see `config.telemetry`."""
    build: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `build`; see `config.build_fields`."""
    mcp: tuple[Mapping[str, Any], ...] = ()
    """The file's checked section `mcp`; see `config.mcp`."""
    services: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `services`; see `config.services`."""
    network: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The file's checked section `network`, in which `upstream_ca` is a `CertificateFile`."""

    @property
    def witnesses(self) -> tuple[WitnessSetting, ...]:
        """The witnesses of audit logs."""
        if not self.audit:
            return ()
        from moat.config.audit import witnesses  # noqa: PLC0415  most users have none

        return witnesses(self.audit)

    @property
    def clipboard(self) -> Literal["ask", "pass", "drop"]:
        return self.terminal.get("clipboard", "ask")

    @property
    def pictures(self) -> bool:
        return self.terminal.get("pictures", "pass") == "pass"

    @property
    def term_program(self) -> str:
        return self.terminal.get("program", TERM_PROGRAM)


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
    _convert(values)
    network: dict[str, Any] = values.get("network", {})
    if "upstream_ca" in network:
        network["upstream_ca"] = authorities(network["upstream_ca"])
    return Settings(**values)


def _convert(values: dict[str, Any]) -> None:
    """Replace what the file says by the values of `Settings`, where these are of another type."""
    for name in {"journal_limit", "scrollback_memory", "traffic_limit"} & values.keys():
        from moat.spec.units import parse_memory  # noqa: PLC0415

        values[name] = parse_memory(str(values[name]))
    if "protected_paths" in values:
        from moat.config.protected_paths import protected_paths  # noqa: PLC0415

        values["protected_paths"] = protected_paths(values)
    if "on_event" in values:
        from moat.config.hooks import event_hooks  # noqa: PLC0415

        values["on_event"] = event_hooks(values["on_event"])
    if "prices" in values:
        from moat.config.budget import prices  # noqa: PLC0415

        values["prices"] = prices(values["prices"])
    if "retention" in values:
        from moat.config.retention import retention  # noqa: PLC0415

        values["retention"] = retention(values["retention"])
    for name in {"mounts", "mcp"} & values.keys():
        values[name] = tuple(values[name])
    if "router" in values:
        values["router"] = RouterSettings(**values["router"])


def fields(check_authorities: Callable[[str], object] | None = None) -> dict[str, Field]:
    """Return the table of the file's fields (see `config.document`).

    `check_authorities` checks `network.upstream_ca`; a table that checks no file has none.
    """
    from moat.config import (  # noqa: PLC0415
        audit,
        budget,
        build_fields,
        environment,
        hooks,
        limits,
        mcp,
        network_fields,
        protected_paths,
        retention,
        secret_references,
        services,
        snapshots,
        telemetry,
        workspace_mode,
    )
    from moat.config.fields import Field, at_least, check_absolute, not_negative, positive  # noqa: PLC0415
    from moat.config.mounts import check_own_mount  # noqa: PLC0415
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
            "What becomes of a program's notifications (OSC 9, 99 and 777) to attached terminals.",
            choices=("pass", "drop"),
        ),
        "notify": Field(
            "enum",
            "How you are told that a run waits for you or has ended: on the desktop (notify-send or"
            " osascript) while nobody is attached to it, or by the bell of terminals that are.",
            choices=("off", "bell", "desktop"),
        ),
        "on_event": hooks.FIELD,
        "terminal": Field(
            "object",
            "What programs may do to attached terminals, and which terminal they are told they have.",
            fields={
                "clipboard": Field(
                    "enum",
                    "Writing to the clipboard (OSC 52): asked about once for each run, or always the"
                    " same. It can never be read.",
                    choices=("ask", "pass", "drop"),
                ),
                "pictures": Field(
                    "enum",
                    "Pictures (sixel, kitty's and iTerm2's), for viewers whose terminals know them.",
                    choices=("pass", "drop"),
                ),
                "program": Field(
                    "string",
                    f"TERM_PROGRAM, and the answer to XTVERSION ({TERM_PROGRAM}): agents send"
                    " notifications to terminals that they know. `moat` for the truth.",
                    _check_program,
                ),
            },
        ),
        "answer_timeout": Field(
            "number",
            "Seconds that a run's supervisor may take to answer a command, before that gives up.",
            positive,
        ),
        "stop_timeout": Field(
            "number", "Seconds between asking a command to end and killing it.", not_negative
        ),
        "spare": Field(
            "boolean",
            "Keep a process for ten minutes after a start, from which the next ones begin quicker.",
        ),
        "trust_project": Field(
            "enum",
            "Whether what agent.yaml opens holds: without asking, once you have agreed to it, or not"
            " at all. Grants, secrets and variables of yours always need an agreement.",
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
        "env": environment.FIELD,
        "mounts": Field(
            "strings",
            "Paths of the host to show in all runs: SRC:DST[:ro|rw], SRC absolute or beginning with ~.",
            each=check_own_mount,
        ),
        "limits": limits.FIELD,
        "workspace": workspace_mode.FIELD,
        "prices": budget.PRICES,
        "audit": audit.FIELD,
        "retention": retention.FIELD,
        "secrets": secret_references.FIELD,
        "protected_paths": protected_paths.FIELD,
        "router": Field(
            "object",
            "Host names for the named ports of all runs, such as web.my-run.localhost.",
            fields={
                "enabled": Field(
                    "boolean", "A run with named ports starts the router that serves them."
                ),
                "port": Field("integer", "The router's port here; 0: a free one.", _check_port),
            },
        ),
        "snapshots": snapshots.FIELD,
        "telemetry": telemetry.FIELD,
        "build": build_fields.FIELD,
        "mcp": mcp.FIELD,
        "services": services.FIELD,
        "network": Field(
            "object",
            "What all runs may reach, and how. It comes before what a project says.",
            fields=network_fields.user_fields(check_authorities),
        ),
    }


def _check_port(number: int) -> None:
    """Raise `ValueError` for what is no port."""
    if not 0 <= number < 1 << 16:
        raise ValueError(f"{number} is not a port, which is 1 to 65535, or 0")


def _check_program(name: str) -> None:
    """Check a name for TERM_PROGRAM and XTVERSION. Raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name, re.ASCII):
        raise ValueError(f"{name!r} is not the name of a terminal, such as ghostty or iTerm.app")
