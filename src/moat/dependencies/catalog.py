"""The registry: the entries that come with Moat, and the user's own in `$MOAT_HOME/dependencies`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from moat import typed_json
from moat.config.catalog import Catalog
from moat.dependencies.entry import Entry
from moat.dependencies.fields import FIELDS


def _entry(content: dict[str, Any], builtin: bool) -> Entry:
    check = content.get("check", ())
    words = check.split() if isinstance(check, str) else check
    entry = typed_json.read(Entry, {**content, "check": list(words), "builtin": builtin})
    if not (entry.apt or entry.apk or entry.pip or entry.npm):
        raise ValueError("it says nowhere where it is had: apt, apk, pip or npm")
    return entry


ENTRIES: Final = Catalog(
    kind="dependency",
    shipped=Path(__file__).with_name("data"),
    folder="dependencies",
    fields=FIELDS,
    required=("id", "title", "kind"),
    page="docs/dependencies.md",
    listing="moat deps",
    make=_entry,
)
find: Final = ENTRIES.find
