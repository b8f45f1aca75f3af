"""The registry: the services that come with Moat, and the user's own in `$MOAT_HOME/services`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from moat import typed_json
from moat.config.agent_file import split_command
from moat.config.catalog import Catalog
from moat.config.services import ready_fields
from moat.services.entry import Entry
from moat.services.fields import FIELDS


def _entry(content: dict[str, Any], builtin: bool) -> Entry:
    fields = {
        **content,
        "ports": [int(each) for each in content["ports"]],
        "command": list(split_command(content.get("command", ()))),
        "ready": ready_fields(content.get("ready", {})),
        "builtin": builtin,
    }
    return typed_json.read(Entry, fields)


ENTRIES: Final = Catalog(
    kind="service",
    shipped=Path(__file__).with_name("data"),
    folder="services",
    fields=FIELDS,
    required=("id", "title", "image", "default", "ports"),
    page="docs/services.md",
    listing="moat service list",
    make=_entry,
)
find: Final = ENTRIES.find
