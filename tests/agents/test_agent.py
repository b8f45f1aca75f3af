"""The command lines of agents, and the texts of their files."""

from __future__ import annotations

import pytest

from moat.agents.agent import Agent, Lines, MissingError, filled

AGENT = Agent(
    id="own",
    title="Own",
    command=("own",),
    lines=Lines(
        options=("--quiet",),
        yolo=("--yes",),
        ask=("--no",),
        print=("once",),
        begin=("--id", "{session}"),
        resume_last=("again",),
        resume=("again", "{session}"),
        prompt=("--", "{prompt}"),
        print_prompt=("--say={prompt}",),
    ),
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"session": "s"}, "own --quiet --yes --id s"),
        ({"session": "s", "mode": "ask"}, "own --quiet --no --id s"),
        ({"resume": ""}, "own --quiet --yes again"),
        ({"resume": "s"}, "own --quiet --yes again s"),
        ({"resume": "", "more": ("-m", "x"), "prompt": "p"}, "own --quiet --yes again -m x -- p"),
        ({"resume": "", "print_mode": True, "prompt": "p"}, "own --quiet --yes once again --say=p"),
    ],
)
def test_the_words_of_a_command_line(given: dict[str, object], words: str) -> None:
    """Options come first, then what is resumed, the user's own words, and the prompt last."""
    assert " ".join(AGENT.command_line(**given)) == words  # type: ignore[arg-type]


def test_the_prompt_of_an_agent_without_a_form_is_a_word() -> None:
    """Whatever it holds, it stays one word, and no braces of the user's are filled in."""
    agent = Agent(id="own", title="Own", command=("own",))
    assert agent.command_line(prompt="say {session} --yes") == ("own", "say {session} --yes")
    assert not agent.names_sessions
    assert AGENT.names_sessions


def test_a_text_is_filled_with_variables_and_words() -> None:
    """Braces of JSON stay as they are."""
    text = '{"a": {"key": "{KEY:-3}", "whole": "{KEY}", "by": "{login}"}}'
    made = filled(text, {"KEY": "12345"}, login="api")
    assert made == '{"a": {"key": "345", "whole": "12345", "by": "api"}}'


@pytest.mark.parametrize("text", ["{KEY}", "{login}"])
def test_a_text_that_names_what_isnt_there_is_refused(text: str) -> None:
    """A file with a hole in it would be worse than none."""
    with pytest.raises(MissingError):
        filled(text, {})
