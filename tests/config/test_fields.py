"""The tables of fields."""

from __future__ import annotations

from moat.config import agent_file, budget, settings
from moat.config.fields import Field, schema


def test_the_schema_has_every_field_of_agent_yaml() -> None:
    """Editors check the same as Moat."""
    made = schema("agent.yaml", agent_file.FIELDS)
    assert made["properties"].keys() == agent_file.FIELDS.keys()
    assert made["additionalProperties"] is False
    assert made["properties"]["limits"]["properties"].keys() == {
        "memory",
        "cpus",
        "pids",
        "timeout",
        *budget.FIELDS,
    }
    assert all(each["description"] for each in made["properties"].values())


def test_the_schema_of_the_settings_names_the_kinds() -> None:
    """A table that is made on demand has a schema as well."""
    made = schema("config.yaml", settings.fields())
    assert made["properties"]["scrollback"]["type"] == "integer"
    assert made["properties"]["journal_limit"]["type"] == ["string", "number"]


def test_the_schema_of_a_choice_lists_what_there_is() -> None:
    """Editors can offer the values."""
    made = schema("x", {"kind": Field("enum", "One of a few.", choices=("plain", "fancy"))})
    assert made["properties"]["kind"] == {
        "type": "string",
        "enum": ["plain", "fancy"],
        "description": "One of a few.",
    }
