"""Answers of language models as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moat.supervisor.model_calls import AT_ONCE, MAX_MODELS, ModelCalls

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run

USAGE = {"provider": "openai", "model": "gpt-5", "input_tokens": 100, "output_tokens": 50}


def _shown(run: Run) -> list[dict[str, Any]]:
    return [each for each in run.events if each["event"] == "model_used"]


async def test_each_answer_is_an_event_at_once(machine: Machine) -> None:
    """So an audit log has each, even if its supervisor is killed in the next moment."""
    async with machine.supervised() as run:
        calls = ModelCalls(run.supervisor.context)
        calls.add(USAGE, "api.openai.com", 625_000)
        calls.add(USAGE, "api.openai.com", 625_000)
        first, second = _shown(run)
        assert first | {"time": ""} == second | {"time": ""}
        del first["time"]
        assert first == {
            "event": "model_used",
            "host": "api.openai.com",
            "provider": "openai",
            "model": "gpt-5",
            "requests": 1,
            "tokens": 150,
            "output_tokens": 50,
            "estimated_tokens": 0,
            "cost": 0.000625,
        }
        calls.flush()
        assert len(_shown(run)) == 2


async def test_very_many_answers_are_summed_up(machine: Machine) -> None:
    """One event for each model tells the rest at the end of the window."""
    async with machine.supervised() as run:
        calls = ModelCalls(run.supervisor.context)
        for _ in range(AT_ONCE + 4):
            calls.add(USAGE, "api.openai.com", 625_000)
        assert len(_shown(run)) == AT_ONCE
        calls.flush()
        calls.flush()
        *_, last = _shown(run)
        assert (last["requests"], last["tokens"], last["cost"]) == (4, 600, 0.0025)
        calls.add(USAGE, "api.openai.com", 625_000)
        assert len(_shown(run)) == AT_ONCE + 2
        calls.flush()


async def test_a_cost_that_is_known_in_part_is_not_known(machine: Machine) -> None:
    """Nor is one made up for a model without a price; what was estimated is among the tokens."""
    async with machine.supervised() as run:
        calls = ModelCalls(run.supervisor.context)
        calls.add({"provider": "openai", "estimated_tokens": 7}, "a.test", None)
        [shown] = _shown(run)
        assert (shown["model"], shown["tokens"], shown["cost"]) == ("", 7, None)
        calls.flush()


async def test_models_without_end_make_few_events(machine: Machine) -> None:
    """A hostile program names another model each time."""
    async with machine.supervised() as run:
        calls = ModelCalls(run.supervisor.context)
        for number in range(10 * MAX_MODELS):
            calls.add({**USAGE, "model": f"m-{number}"}, "a.test", None)
        calls.flush()
        shown = _shown(run)
        assert len(shown) == AT_ONCE + MAX_MODELS + 1
        assert sum(each["requests"] for each in shown) == 10 * MAX_MODELS
        assert (shown[-1]["host"], shown[-1]["model"]) == ("", "")
