"""Dataclasses from JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.typed_json import parse, read

Name = NewType("Name", str)


@dataclass(frozen=True)
class Leaf:
    name: Name
    colour: Literal["green", "red"] = "green"


@dataclass(frozen=True)
class Tree:
    height: float
    age: int | None = None
    alive: bool = True
    leaves: tuple[Leaf, ...] = ()
    rings: list[int] = field(default_factory=list[int])
    notes: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    best: Leaf | None = None


leaves = st.builds(Leaf, st.text().map(Name), st.sampled_from(["green", "red"]))
trees = st.builds(
    Tree,
    height=st.floats(0, 100) | st.integers(0, 100),
    age=st.none() | st.integers(),
    alive=st.booleans(),
    leaves=st.lists(leaves, max_size=3).map(tuple),
    rings=st.lists(st.integers(), max_size=3),
    notes=st.dictionaries(st.text(), st.none() | st.text(), max_size=3),
    best=st.none() | leaves,
)


@given(tree=trees)
def test_what_is_written_is_read(tree: Tree) -> None:
    """Every kind of field is read, nested ones too."""
    assert read(Tree, parse(json.dumps(asdict(tree)))) == tree


def test_what_is_missing_is_the_default_at_every_depth() -> None:
    """A class may grow, and earlier JSON is still read."""
    assert read(Tree, {"height": 3, "best": {"name": "a"}}) == Tree(3, best=Leaf(Name("a")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "Tree: [] is not an object"),
        ({}, "Tree lacks height"),
        ({"height": True}, "Tree.height: True is not a number"),
        ({"height": 1, "age": 1.5}, "Tree.age: 1.5 is not an integer"),
        ({"height": 1, "alive": 1}, "Tree.alive: 1 is not true or false"),
        ({"height": 1, "leaves": "a"}, "Tree.leaves: 'a' is not a list"),
        ({"height": 1, "leaves": ["a"]}, "Tree.leaves: 'a' is not an object"),
        ({"height": 1, "leaves": [{}]}, "Leaf lacks name"),
        ({"height": 1, "rings": ["a"]}, "Tree.rings: 'a' is not an integer"),
        ({"height": 1, "notes": []}, "Tree.notes: [] is not an object"),
        ({"height": 1, "notes": {"a": 1}}, "Tree.notes: 1 is not a string"),
        (
            {"height": 1, "best": {"name": "a", "colour": "blue"}},
            "Leaf.colour: 'blue' is not one of green, red",
        ),
        ({"height": 1, "best": {"name": "a", "form": "oval"}}, "Leaf has no field 'form'"),
        ({"height": 1, "roots": 3}, "Tree has no field 'roots'"),
    ],
)
def test_what_is_wrong_is_named(given: object, message: str) -> None:
    """The error has the class and the field, at every depth."""
    with pytest.raises(ValueError) as caught:
        read(Tree, given)
    assert str(caught.value) == message


def test_unknown_fields_are_ignored_where_the_caller_says_so() -> None:
    """This holds at every depth; a peer may be newer."""
    value = {"height": 1, "roots": 3, "best": {"name": "a", "form": "oval"}}
    assert read(Tree, value, ignore_unknown=True) == Tree(1, best=Leaf(Name("a")))


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    """The parser's `RecursionError` doesn't escape."""
    with pytest.raises(ValueError):
        parse(text)


@dataclass
class Unreadable:
    """A class with an annotation that JSON has no form for."""

    members: set[str] = field(default_factory=set[str])


def test_an_annotation_that_can_not_be_read_is_a_fault_of_ours() -> None:
    """The first test that reads such a class finds it, and no file is blamed."""
    with pytest.raises(KeyError):
        read(Unreadable, {"members": ["a"]})
