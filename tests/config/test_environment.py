"""Variables that a run takes from the caller's environment."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.environment import check, parse_env, resolve
from moat.errors import UsageError

CALLER = {"USER": "ada", "EMPTY": "", "_": "x"}


def value(text: str | None) -> str:
    return resolve({"K": text}, CALLER, "agent.yaml")["K"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain {text} }", "plain {text} }"),
        ("$USER", "ada"),
        ("${USER}", "ada"),
        ("a${USER}b$USER-c", "aadabada-c"),
        ("$$USER $${USER} $$$USER", "$USER ${USER} $ada"),
        ("${EMPTY}", ""),
        ("${GONE:-x}${GONE-y}", "xy"),
        ("${EMPTY:-x}${EMPTY-y}", "x"),
        ("${USER:-x}", "ada"),
        ("${GONE:-}", ""),
        ("${GONE:-${USER}}", "ada"),
        ("${GONE:-${GONE:-a b}}c", "a bc"),
        ("${GONE:-$$}", "$"),
        ("${USER:+yes}${EMPTY:+no}${EMPTY+yes}${GONE+no}", "yesyes"),
        ("${USER:?must be there}", "ada"),
        ("${USER:-${GONE:?not asked}}", "ada"),
        ("two\nlines $_", "two\nlines x"),
    ],
)
def test_references_mean_what_they_mean_to_compose(text: str, expected: str) -> None:
    """Defaults, alternatives, dollar signs and references inside references are resolved."""
    check("K", text)
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$GONE", "there is no variable GONE here"),
        ("${GONE}", "there is no variable GONE here"),
        ("${GONE?}", "there is no variable GONE here"),
        ("${GONE:?log in first}", "log in first"),
        ("${EMPTY:?log in as ${USER}}", "log in as ada"),
        ("${EMPTY:-$GONE}", "there is no variable GONE here"),
    ],
)
def test_a_variable_that_is_missing_is_an_error(text: str, reason: str) -> None:
    """Nothing becomes empty in silence: the error names the file, the variable and the reason."""
    check("K", text)
    with pytest.raises(UsageError, match=rf"^agent.yaml: env.K: {reason}\n") as raised:
        value(text)
    assert "moat run -e K=VALUE" in str(raised.value)


def test_a_name_without_a_value_takes_the_callers() -> None:
    """An empty value of the caller's is a value; one that isn't there is an error."""
    taken = resolve({"USER": None, "EMPTY": None}, CALLER, "agent.yaml")
    assert taken == {"USER": "ada", "EMPTY": ""}
    with pytest.raises(UsageError, match="there is no variable K here"):
        value(None)


@pytest.mark.parametrize(
    "text",
    ["$", "a$ b", "$5", "${", "${}", "${USER", "${USER:-${A}", "${USER!x}", "${A:x}", "${1}"],
)
def test_a_reference_that_cannot_be_read_is_an_error(text: str) -> None:
    """A dollar sign that begins no reference is refused rather than passed on as it is."""
    with pytest.raises(ValueError, match=r"\$"):
        check("K", text)
    with pytest.raises(UsageError, match=r"agent.yaml: env.K"):
        value(text)


@given(st.text(alphabet="$U{}:-?+a", max_size=24))
def test_what_is_checked_can_be_resolved(text: str) -> None:
    """Any text is refused by the check, or resolved, or lacks a variable; no other error is possible."""
    try:
        check("K", text)
    except ValueError:
        with pytest.raises(UsageError):
            value(text)
    else:
        with suppress(UsageError):
            value(text)


@given(st.text())
def test_doubled_dollar_signs_leave_any_text_as_it_is(text: str) -> None:
    """A text whose dollar signs are doubled is itself."""
    assert value(text.replace("$", "$$")) == text


def test_options_give_values_or_take_the_callers() -> None:
    """`-e K=V` is taken as it is, dollar signs too, and `-e K` from the caller."""
    assert parse_env(["USER", "B=$2", "C="], CALLER) == {"USER": "ada", "B": "$2", "C": ""}
    with pytest.raises(UsageError, match="-e GONE"):
        parse_env(["GONE"], CALLER)
    with pytest.raises(UsageError, match="is not a variable"):
        parse_env(["=x"], CALLER)


@pytest.mark.parametrize("name", ["", "A=B"])
def test_a_name_that_no_variable_has_is_refused(name: str) -> None:
    """A name must not be empty or contain an equals sign."""
    with pytest.raises(ValueError, match="not the name of a variable"):
        check(name, "x")
