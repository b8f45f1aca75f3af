"""YAML files, checked against a table of fields."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moat.config.document import MAX_BYTES, read
from moat.config.fields import Field, positive
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def _even(text: str) -> None:
    if len(text) % 2:
        raise ValueError(f"{text!r} is odd")


def _twins(name: str, value: str) -> None:
    if name != value:
        raise UsageError(f"{value!r} is not {name!r}", "Make them the same")


def _has_use(name: str, given: dict[str, Any]) -> None:
    if name == "bare" and given:
        raise ValueError("bare has something")


FIELDS: Final = {
    "text": Field("string", "A text."),
    "flag": Field("boolean", "A flag."),
    "amount": Field("number", "An amount.", positive),
    "count": Field("integer", "A count.", positive),
    "list": Field("strings", "Some texts."),
    "map": Field("map", "Names and values."),
    "command": Field("command", "A command."),
    "kind": Field("enum", "One of a few.", choices=("plain", "fancy")),
    "even": Field("strings", "Texts of even length.", each=_even),
    "twins": Field("map", "Names that are their values.", each=_twins),
    "named": Field(
        "named",
        "Things by name.",
        each=_has_use,
        scalar="use",
        fields={"use": Field("string", "What."), "list": Field("strings", "Some.")},
    ),
    "inner": Field("object", "More.", fields={"size": Field("quantity", "Bytes.")}),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.yaml"


def parsed(path: Path, text: str) -> dict[str, Any]:
    path.write_text(text)
    return read(path, FIELDS)


def test_a_map_of_objects_by_name(path: Path) -> None:
    """A plain value stands for one field, and nothing for none."""
    text = "named:\n  a: x\n  b:\n  c: { use: y, list: [z] }\n  bare:\n"
    assert parsed(path, text)["named"] == {
        "a": {"use": "x"},
        "b": {},
        "c": {"use": "y", "list": ["z"]},
        "bare": {},
    }
    for wrong in ("a: [x]", "a: { other: x }", "bare: x", "a: x\n  a: y"):
        with pytest.raises(UsageError, match=r"some\.yaml:[23]"):
            parsed(path, f"named:\n  {wrong}\n")


def test_every_kind_of_field_is_read(path: Path) -> None:
    """Texts stay as they were written; numbers and booleans are converted."""
    assert parsed(
        path,
        "text: 007\nflag: yes\namount: 1.5\ncount: 3\nlist: [a, 1]\n"
        "map: {A: true, B: 1e3, C: }\ncommand: [x, y]\nkind: fancy\neven: [ab, '']\ntwins: {a: a}\n"
        "inner: {size: 2g}\n",
    ) == {
        "text": "007",
        "flag": True,
        "amount": 1.5,
        "count": 3,
        "list": ["a", "1"],
        "map": {"A": "true", "B": "1e3", "C": ""},
        "command": ["x", "y"],
        "kind": "fancy",
        "even": ["ab", ""],
        "twins": {"a": "a"},
        "inner": {"size": "2g"},
    }


def test_an_empty_file_says_nothing(path: Path) -> None:
    """A file with nothing but comments is like no file."""
    assert parsed(path, "# nothing yet\n") == {}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("text: a\ntxt: b\n", 2, "unknown field 'txt'"),
        ("inner:\n  sise: 1\n", 2, "unknown field 'sise'"),
        ("flag: maybe\n", 1, "flag must be true or false, not 'maybe'"),
        ("\n\nlist: a\n", 3, "list must be a list of strings"),
        ("list: [[a]]\n", 1, "a plain value is expected"),
        ("map: [a]\n", 1, "a map of fields is expected"),
        ("text: a\ntext: b\n", 2, "'text' is given twice"),
        ("map:\n  A: 1\n  A: 2\n", 3, "'A' is given twice"),
        ("amount: 0\n", 1, "amount: 0 is not more than zero"),
        ("amount: .inf\n", 1, "amount must be a number"),
        ("count: 1.5\n", 1, "count must be a whole number"),
        ("count: 1:30\n", 1, "count must be a whole number"),
        ("kind: fancier\n", 1, "kind must be one of plain, fancy, not 'fancier'"),
        ("kind: [plain]\n", 1, "a plain value is expected"),
        ("even:\n  - ab\n  - abc\n", 3, "even: 'abc' is odd"),
        ("twins:\n  a: a\n  b: c\n", 3, "twins: 'c' is not 'b'"),
        ('command: "a\\0b"\n', 1, "NUL"),
        ("? [a]\n: b\n", 1, "a plain value is expected"),
        ("- a\n", 1, "a map of fields is expected"),
        ("text: [\n", 2, "not valid YAML"),
        ("text: &a x\nlist: [*a, *a]\n", 2, "aliases are not supported"),
        ("text: ü\nlist:\n  - a\0b\n", 3, "U+0000 is not allowed here"),
        ("text: a\n---\ntext: b\n", 2, "not valid YAML"),
    ],
)
def test_a_mistake_is_reported_with_its_line(path: Path, text: str, line: int, words: str) -> None:
    """Whatever is wrong, the error leads the user to its place."""
    with pytest.raises(UsageError) as raised:
        parsed(path, text)
    assert raised.value.summary.startswith(f"{path}:{line}: ")
    assert words in raised.value.summary


def test_what_is_no_text_is_reported_with_its_line(path: Path) -> None:
    """Most often the file has another encoding."""
    path.write_bytes("text: ü\nlist: [ü]\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r":1: not valid YAML: it is not UTF-8"):
        read(path, FIELDS)


def test_a_misspelt_field_is_guessed(path: Path) -> None:
    """The hint names the field that was probably meant, or all fields."""
    with pytest.raises(UsageError) as raised:
        parsed(path, "comand: x\n")
    assert raised.value.hint == "Did you mean 'command'?"
    with pytest.raises(UsageError) as raised:
        parsed(path, "kind: plian\n")
    assert raised.value.hint == "Did you mean 'plain'?"
    with pytest.raises(UsageError) as raised:
        parsed(path, "twins: {a: b}\n")
    assert raised.value.hint == "Make them the same"
    with pytest.raises(UsageError) as raised:
        parsed(path, "zzz: x\n")
    assert raised.value.hint is not None
    assert "text, flag" in raised.value.hint


def test_aliases_are_refused(path: Path) -> None:
    """A page of them can stand for more than fits in any memory."""
    with pytest.raises(UsageError, match="aliases"):
        parsed(path, "text: &a x\nlist: [*a, *a]\n")


def test_files_without_end_are_refused(path: Path) -> None:
    """Both size and depth are bounded."""
    with pytest.raises(UsageError, match="larger than"):
        parsed(path, "#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="not valid YAML"):
        parsed(path, "[" * 100_000)


def test_what_is_no_file_is_not_waited_for(path: Path) -> None:
    """A pipe in the workspace must not hang `moat run`."""
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is not a file"):
        read(path, FIELDS)
    with pytest.raises(UsageError, match="can't be read: No such file"):
        read(path.with_name("other"), FIELDS)


def test_python_objects_are_never_made(path: Path) -> None:
    """A tag in the file doesn't run anything."""
    with pytest.raises(UsageError):
        parsed(path, "text: !!python/object/apply:os.system ['true']\n")


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_text_is_read_or_refused(path: Path, text: str) -> None:
    """Whatever the file holds, there is no other error."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read(path, FIELDS)
    except UsageError as error:
        assert error.summary.startswith(str(path))  # noqa: PT017  either is right


_SCALARS = st.sampled_from(["~", "1", "0x1f", "017", "1:30", ".nan", "-1", "yes", "''", "!!int x"])
_NODES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
        | st.dictionaries(st.sampled_from(["size", "A", "~"]), inner, max_size=2).map(
            lambda each: "{" + ", ".join(f"{name}: {value}" for name, value in each.items()) + "}"
        )
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), _NODES))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_known_field_with_any_value_is_read_or_refused(
    path: Path, fields: dict[str, str]
) -> None:
    """The surprising values of YAML 1.1 are tried for each kind of field."""
    try:
        parsed(path, "".join(f"{name}: {value}\n" for name, value in fields.items()))
    except UsageError as error:
        assert error.summary.startswith(str(path))  # noqa: PT017  either is right
