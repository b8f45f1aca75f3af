"""Templates of `--format`, and fields of `--json`."""

from __future__ import annotations

import pytest

from moat.cli.template import Template, chosen
from moat.errors import UsageError

ROW = {
    "name": "fix",
    "exit_code": None,
    "tty": True,
    "command": ["sh", "-c", "a\tb"],
    "supervisor": {"pid": 7},
}


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{.name}}", "fix"),
        ("{{ .Name }}: {{.ExitCode}}|{{.exit_code}}", "fix: |"),
        (r"{{.name}}\t{{.tty}}\n-", "fix\ttrue\n-"),
        ("{{.command}}", "sh -c a\\tb"),
        ("{{json .command}}", '["sh", "-c", "a\\tb"]'),
        ("{{.supervisor.pid}} {{json .supervisor}}", '7 {"pid": 7}'),
        ("{{.supervisor}} {name} }}", '{"pid": 7} {name} }}'),
        ("{{json .exit_code}}", "null"),
        ("plain", "plain"),
    ],
)
def test_fields_are_put_in_as_docker_does(template: str, line: str) -> None:
    """Names in any case, fields of fields, JSON, tabs and lines; controls of a command are escaped."""
    assert Template.parse(template).line(ROW) == line


def test_all_as_json() -> None:
    """`{{json .}}` is the object."""
    assert '"supervisor": {"pid": 7}' in Template.parse("{{json .}}").line(ROW)


@pytest.mark.parametrize(
    "template", ["{{name}}", "{{.name", "{{}}", "{{.a b}}", "{{if .x}}", "{{.}}"]
)
def test_a_template_that_cannot_be_read_is_an_error(template: str) -> None:
    """The error comes before any run is looked at, and says how fields are written."""
    with pytest.raises(UsageError, match="Write fields like"):
        Template.parse(template)


@pytest.mark.parametrize("template", ["{{.nam}}", "{{.supervisor.x}}", "{{.name.x}}"])
def test_a_field_that_is_not_there_is_an_error(template: str) -> None:
    """A misspelt field isn't an empty one: the error lists what there is."""
    with pytest.raises(UsageError, match="Known: name, exit_code"):
        Template.parse(template).line(ROW)


def test_a_table_has_a_header() -> None:
    """Cells are those between tabs, aligned by the columns that they take."""
    template = Template.parse(r"table {{.name}}\t{{.supervisor.pid}}")
    assert template.lines([ROW, {**ROW, "name": "宽宽宽"}]) == (
        "NAME    SUPERVISOR.PID\nfix     7\n宽宽宽  7\n"
    )
    assert template.lines([]) == "NAME  SUPERVISOR.PID\n"


def test_fields_of_json_are_chosen_by_name() -> None:
    """They come under the names, and in the order, in which they were asked for."""
    assert list(chosen(ROW, ["tty", "supervisor.pid"]).items()) == [
        ("tty", True),
        ("supervisor.pid", 7),
    ]
    with pytest.raises(UsageError, match="there is no field 'nam'"):
        chosen(ROW, ["nam"])
