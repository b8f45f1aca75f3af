"""Who leads, by the table of the module, and what holds whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.session.leading import SMALLEST, Leading
from moat.spec import PixelSize, TerminalSize


@dataclass(eq=False)
class Viewer:
    name: str
    may_type: bool = True
    size: TerminalSize = field(default_factory=TerminalSize)
    pixels: PixelSize = field(default_factory=PixelSize)


GUESTS = "xyz"
"""The names of those that only look."""


def leader_after(story: str) -> str:
    """`+a` comes, `a!` types, `-a` leaves; the name of the leader is returned."""
    leading: Leading[Viewer] = Leading()
    viewers = {name: Viewer(name, may_type=name not in GUESTS) for name in "abcxyz"}
    for step in story.split():
        if step[0] == "+":
            leading.came(viewers[step[1]])
        elif step[0] == "-":
            leading.left(viewers[step[1]])
        else:
            leading.typed(viewers[step[0]])
    return "" if leading.leader is None else leading.leader.name


@pytest.mark.parametrize(
    ("story", "leader"),
    [
        ("", ""),
        ("+a", "a"),
        ("+a +b", "a"),
        ("+a +b b!", "b"),
        ("+a +b b! a!", "a"),
        ("+a +b +c -a", "c"),  # the newest of those that remain
        ("+a +b +c b! -b", "c"),
        ("+a +b b! -a", "b"),
        ("+x", ""),
        ("+x +a", "a"),
        ("+a +x x!", "a"),
        ("+a +b +x -a", "b"),  # the newest that may type, though a guest is newer
        ("+a +x +y -a", "y"),  # else the newest
        ("+a +x -a +b", "b"),  # who may type comes before a guest that leads
        ("+a -a", ""),
        ("+a -a a!", ""),
        ("+a -a +a", "a"),
        ("-a", ""),
    ],
)
def test_the_table_of_who_leads(story: str, leader: str) -> None:
    """Each row of it."""
    assert leader_after(story) == leader


STEPS = st.sampled_from([f"{sign}{name}" for sign in "+-" for name in "abxy"] + ["a!", "b!", "x!"])


@given(st.lists(STEPS, max_size=20))
def test_somebody_leads_as_long_as_somebody_may_type(steps: list[str]) -> None:
    """The leader is there, and is no guest unless there are only guests; a guest's keys lead nowhere."""
    here: list[str] = []
    story: list[str] = []
    for step in steps:
        name = step.strip("+-!")
        if (step[0] == "+") is (name in here) and "!" not in step:
            continue
        story.append(step)
        if step[0] == "+":
            here.append(name)
        elif step[0] == "-":
            here.remove(name)
    leader = leader_after(" ".join(story))
    typing = [name for name in here if name not in GUESTS]
    assert leader in (typing or [*here, ""])
    if story and story[-1].endswith("!") and story[-1][0] in typing:
        assert leader == story[-1][0]


def test_a_tiny_leader_decides_nothing_while_others_watch() -> None:
    """Alone it does."""
    leading: Leading[Viewer] = Leading()
    one, tiny = Viewer("one", size=SMALLEST), Viewer("tiny", size=TerminalSize(9, 3))
    leading.came(one)
    assert leading.deciding is one
    leading.came(tiny)
    leading.typed(tiny)
    assert leading.deciding is None
    leading.left(one)
    assert leading.deciding is tiny


@pytest.mark.parametrize(
    ("size", "bounded"), [((0, -3), (1, 1)), ((80, 24), (80, 24)), ((65_535, 2001), (2000, 2000))]
)
def test_sizes_are_bounded(size: tuple[int, int], bounded: tuple[int, int]) -> None:
    """Nothing that a terminal says about itself makes a screen of any size."""
    assert TerminalSize(*size).bounded() == TerminalSize(*bounded)
