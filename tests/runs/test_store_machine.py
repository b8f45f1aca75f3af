"""Runs that are created, live by the table and are removed, compared with a simple model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from moat.errors import NameTakenError, RunNotFoundError
from moat.runs.states import ENDED, TRANSITIONS, Happened, IllegalTransitionError, State, after
from moat.runs.store import Store
from moat.spec import RunId, RunSpec


class Runs(RuleBasedStateMachine):
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="moat-"))
        self.store = Store(self.home)
        self.known: dict[str, tuple[str, State]] = {}
        self.ended: set[str] = set()
        self.made = 0

    def teardown(self) -> None:
        self.store.__exit__()
        shutil.rmtree(self.home)

    @rule(target=runs, name=st.sampled_from(["api", "web", "db"]))
    def create(self, name: str) -> str:
        self.made += 1
        spec = RunSpec(
            id=RunId(f"{self.made:04x}"),
            name=name,
            command=("make",),
            workspace="/w",
            created_at=f"2026-01-01T00:00:00.{self.made:03}Z",
        )
        if name in {taken for taken, _ in self.known.values()}:
            with pytest.raises(NameTakenError):
                self.store.create(spec)
        else:
            assert self.store.create(spec).state is State.CREATED
            self.known[spec.id] = (name, State.CREATED)
        return spec.id

    @rule(run=runs, happened=st.sampled_from(Happened))
    def something_happens(self, run: str, happened: Happened) -> None:
        if run not in self.known:
            return
        name, state = self.known[run]
        if happened in TRANSITIONS[state]:
            assert run not in self.ended
            self.store.update(run, state=after(state, happened))
            self.known[run] = (name, TRANSITIONS[state][happened])
            if self.known[run][1] in ENDED:
                self.ended.add(run)
        else:
            with pytest.raises(IllegalTransitionError):
                after(state, happened)

    @rule(run=consumes(runs))
    def remove(self, run: str) -> None:
        self.store.remove(run)
        self.known.pop(run, None)
        with pytest.raises(RunNotFoundError):
            self.store.get(run)

    @rule()
    def another_process_opens_it(self) -> None:
        self.store.__exit__()
        self.store = Store(self.home)

    @rule(run=runs)
    def find(self, run: str) -> None:
        if run in self.known:
            assert self.store.find(run) == self.store.find(self.known[run][0])

    @invariant()
    def the_index_is_the_model(self) -> None:
        """The runs are listed newest first, each has a folder, and there is no other folder."""
        listed = [(row.id, row.name, row.state) for row in self.store.all()]
        assert listed == [(run, *self.known[run]) for run in sorted(self.known, reverse=True)]
        assert {row.id for row in self.store.all(ended=False)} == self.known.keys() - self.ended
        folders = self.home / "runs"
        there = {path.name for path in folders.iterdir()} if folders.exists() else set[str]()
        assert there == self.known.keys()


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
