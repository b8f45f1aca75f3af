"""What a page may say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.web import messages
from moat.web.messages import (
    AnswerQuestion,
    AskQuestions,
    Drawn,
    Opening,
    OpenTerminal,
    OpenTraffic,
    Resize,
    ShowEnded,
)

ALL = [
    (Opening("x"), "opening", {"secret": "x"}),
    (OpenTerminal("x", 80, 24), "open_terminal", {"run": "x", "columns": 80, "rows": 24}),
    (
        OpenTerminal("x", 80, 24, 800, 600, read_only=True),
        "open_terminal",
        {"run": "x", "columns": 80, "rows": 24, "width": 800, "height": 600, "read_only": True},
    ),
    (Resize(1, 1000), "resize", {"columns": 1, "rows": 1000}),
    (Drawn(5), "drawn", {"bytes": 5}),
    (OpenTraffic("x"), "open_traffic", {"run": "x"}),
    (ShowEnded(shown=True), "show_ended", {"shown": True}),
    (AskQuestions("x"), "ask_questions", {"run": "x"}),
    (
        AnswerQuestion("x", "host y:1", allow=False),
        "answer_question",
        {"run": "x", "name": "host y:1", "allow": False},
    ),
]


@pytest.mark.parametrize(("message", "kind", "fields"), ALL)
def test_messages(message: messages.Message, kind: str, fields: dict[str, object]) -> None:
    """Each by its type, with its fields."""
    text = messages.write(kind, **fields)
    assert messages.read(text) == message
    assert messages.read_as(type(message), text) == message


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        "",
        "[]",
        "1",
        "{}",
        "[" * 100_000,
        '{"type": "other"}',
        '{"type": ["opening"]}',
        '{"type": "opening"}',
        '{"type": "opening", "secret": 1}',
        '{"type": "opening", "secret": "x", "more": 1}',
        '{"type": "resize", "columns": 0, "rows": 1}',
        '{"type": "resize", "columns": 1, "rows": 1001}',
        '{"type": "resize", "columns": 1, "rows": 1, "width": -1}',
        '{"type": "open_terminal", "run": "x", "columns": 80, "rows": 24, "height": 65536}',
        '{"type": "show_ended", "shown": 1}',
    ],
)
def test_nonsense(text: str | bytes) -> None:
    """Whatever it is, it is a `ValueError`."""
    with pytest.raises(ValueError):
        messages.read(text)


def test_another_message_than_the_one_that_is_due() -> None:
    """Is nonsense, too."""
    with pytest.raises(ValueError, match="Drawn where Opening belongs"):
        messages.read_as(Opening, '{"type": "drawn", "bytes": 1}')


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.sampled_from(["type", "run", "columns", "bytes"]), inner)
)))  # fmt: skip
def test_any_json(value: object) -> None:
    """Is a message, or a `ValueError`."""
    try:
        messages.read(json.dumps(value))
    except ValueError:
        return
