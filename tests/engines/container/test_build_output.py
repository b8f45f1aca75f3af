"""What a build's output says, however it comes in pieces."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engines.container.build_output import BuildOutput, LineWritten, StepBegun

if TYPE_CHECKING:
    from moat.engines.container.build_output import Event


def streamed(*texts: str) -> bytes:
    return b"".join(json.dumps({"stream": each}).encode() + b"\r\n" for each in texts)


def events(output: BuildOutput, *pieces: bytes) -> list[Event]:
    return [event for each in pieces for event in output.feed(each)]


DOCKER = streamed(
    "Step 4/6 : COPY x",
    "\n",
    " ---> 0123\n",
    "Step 5/6 : RUN y\n",
    "one\ntw",
    "o\n",
    "Removing intermediate container 0123\n",
)
PODMAN = streamed("STEP 4/6: COPY x\n", "--> 0123\n", "STEP 5/6: RUN y\n", "one\n", "two\n")


@pytest.mark.parametrize("stream", [DOCKER, PODMAN], ids=["docker", "podman"])
def test_steps_and_their_lines(stream: bytes) -> None:
    """In the words of both engines; the last lines are those of the step that came last."""
    output = BuildOutput()
    found = events(output, stream)
    assert [each for each in found if isinstance(each, StepBegun)] == [StepBegun(4), StepBegun(5)]
    assert found[-2:] == [LineWritten("one"), LineWritten("two")]
    assert list(output.last_lines) == ["one", "two"]
    assert output.error == ""


def test_an_error() -> None:
    """It is the engine's own word, outside of what the steps write."""
    output = BuildOutput()
    events(output, streamed('{"error": "mine"}\n'))
    assert output.error == ""
    events(output, b'{"errorDetail": {"message": "x"}, "error": "exit code 1\\u001b[2J"}\n')
    assert output.error == "exit code 1\\x1b[2J"


def test_what_a_program_writes_is_made_harmless() -> None:
    """Colours go, other sequences are shown, progress is what its line ended with."""
    output = BuildOutput()
    found = events(
        output,
        streamed(
            "\x1b[91mred\x1b[0m\n", "10%\r 20%\r100%\r\n", "\x1b]0;t\x07\n", "x" * 9999 + "\n"
        ),
    )
    assert found[:3] == [
        LineWritten("red"),
        LineWritten("100%"),
        LineWritten("\\x1b]0;t\\x07"),
    ]
    assert found[3] == LineWritten("x" * 500)


def test_few_lines_are_kept() -> None:
    """A step may write for hours."""
    output = BuildOutput()
    events(output, *(streamed(f"{number}\n") for number in range(1000)))
    assert list(output.last_lines) == [str(number) for number in range(980, 1000)]


def test_a_line_without_an_end_is_bounded() -> None:
    """A program may write a gigabyte without one."""
    output = BuildOutput()
    assert events(output, *(streamed("x" * 60_000) for _ in range(5))) == []
    assert len(output._line) == 1 << 16


@pytest.mark.parametrize("stream", [b"[]\n", b'{"a"\n', b"x" * (2 << 20)])
def test_what_is_no_output_of_a_build(stream: bytes) -> None:
    """Nobody can tell what it means."""
    with pytest.raises(ValueError, match=r"."):
        events(BuildOutput(), stream)


@given(st.lists(st.integers(0, len(DOCKER)), max_size=8))
def test_pieces_decide_nothing(cuts: list[int]) -> None:
    """The network cuts where it likes."""
    places = [0, *sorted(cuts), len(DOCKER)]
    pieces = [DOCKER[start:end] for start, end in pairwise(places)]
    assert events(BuildOutput(), *pieces) == events(BuildOutput(), DOCKER)


@given(st.lists(st.text(), max_size=6))
def test_nothing_that_is_shown_acts_on_a_terminal(texts: list[str]) -> None:
    """Whatever a program writes."""
    for event in events(BuildOutput(), streamed(*texts, "\n")):
        if isinstance(event, LineWritten):
            assert event.text.isprintable()
