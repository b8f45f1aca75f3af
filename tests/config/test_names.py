"""The names of runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.names import check_name, new_id, new_name, numbered
from moat.errors import UsageError


@pytest.mark.parametrize("name", ["a", "fix-2", "0.1_x", "x" * 63, "abcdef", "deadbeef"])
def test_names_are_short_and_plain(name: str) -> None:
    """A name needs no quotes in a shell."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-x", ".x", "X", "a b", "a/b", "é", "x" * 64, "a\n", "0123456789ab"]
)
def test_other_names_are_refused(name: str) -> None:
    """Options, paths, terminal sequences and anything like an id are refused."""
    with pytest.raises(UsageError):
        check_name(name)


def test_an_id_is_not_a_name() -> None:
    """A reference never means both."""
    with pytest.raises(UsageError):
        check_name(new_id())


@given(st.sets(st.integers(2, 9)), st.booleans())
def test_a_taken_name_gets_the_first_free_number(numbers: set[int], plain: bool) -> None:
    """While the name is free it gets none."""
    taken = {f"fix-{number}" for number in numbers} | ({"fix"} if plain else set())
    name = numbered("fix", taken)
    assert name not in taken
    assert (name == "fix") is not plain


def test_new_names_are_valid_and_free() -> None:
    """A number is added where the two words are taken."""
    assert check_name(new_name(()))

    class Everything:
        """A container of every name without a number."""

        def __contains__(self, name: object) -> bool:
            return not str(name)[-1].isdigit()

    assert new_name(Everything()).endswith("-2")
