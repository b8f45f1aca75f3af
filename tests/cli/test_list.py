"""`moat list`: true states, safe text, thousands of runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.cli.plain.list import draw, shortened
from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.watch.run_list import RunList
from moat.columns import width
from moat.errors import SupervisorError
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moat.runs.store import Run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    with Store() as store:
        yield store


def add(store: Store, number: int, state: State, command: tuple[str, ...] = ("make",)) -> str:
    """A run in that state; its id."""
    run_id = f"{number:012x}"
    spec = RunSpec(
        id=RunId(run_id),
        name=f"run-{number}",
        command=command,
        workspace="/",
        created_at=f"2026-01-01T00:00:{number:02}.000Z",
    )
    store.create(spec)
    store.update(run_id, state=state)
    return run_id


def test_ports_have_a_column_where_a_run_has_any(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loopback goes without saying; a narrow terminal shows what else there is room for."""
    monkeypatch.setattr(RunList, "_adopt", lambda *_: None)
    run_id = add(store, 1, State.RUNNING)
    assert "PORTS" not in draw(store.all())
    ports = [
        {"name": "web", "address": "127.0.0.1", "host_port": 40123},
        {"name": "api", "address": "::1", "host_port": 40124},
    ]
    store.update(run_id, ports=tuple(ports))
    text = draw(store.all())
    assert "PORTS" in text
    assert "40123->web, [::1]:40124->api" in text
    assert "PORTS" in draw(store.all(), columns=60)
    assert run(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["ports"] == ports


def test_a_run_whose_supervisor_is_gone_is_looked_after_before_it_is_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A supervisor is started, and what it found out is what the list says."""
    run_id = add(store, 1, State.RUNNING)

    def adopt(_: RunList, run: Run) -> None:
        store.update(run.id, state=State.LOST)

    monkeypatch.setattr(RunList, "_adopt", adopt)
    assert run(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["list", "-a", "--json"]) == 0
    assert [(each["id"], each["state"]) for each in json.loads(capsys.readouterr().out)] == [
        (run_id, "lost")
    ]


def test_a_supervisor_that_can_not_be_started_is_told_in_its_line(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the other runs are listed all the same."""
    for number in (1, 2):
        add(store, number, State.RUNNING)

    def get(*_: object, **__: object) -> None:
        raise SupervisorError("it ended before it could answer")

    monkeypatch.setattr(SupervisorClient, "get", get)
    assert run(["list"]) == 0
    text = capsys.readouterr().out
    assert "run-1  " in text
    assert "run-2: it ended before it could answer" in text


def test_what_a_command_is_called_can_not_act_on_the_terminal(store: Store) -> None:
    """An argument may hold anything; a listing holds text, a line for each run."""
    add(store, 1, State.STOPPED, ("echo", "\x1b]0;x\x07\n\x9b2J", "é" * 100))
    text = draw(store.all())
    assert len(text.splitlines()) == 2
    assert text.replace("\n", "").isprintable()
    assert len(shortened("x" * 100)) == 60


def test_nothing_to_list_says_how_to_begin(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty array for programs, a hint for people."""
    assert store.all() == []
    assert run(["ps"]) == 0
    assert "moat run" in capsys.readouterr().out
    assert run(["ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_only_the_state_is_coloured(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a name or a command that is the same word."""
    run_id = add(store, 1, State.FAILED, ("failed",))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delitem(os.environ, "NO_COLOR", raising=False)
    line = draw(store.all()).splitlines()[1]
    assert line.startswith(f"run-1  {run_id}  \x1b[31mfailed\x1b[0m  ")
    assert line.endswith("  failed")


def drawn(store: Store, columns: int) -> list[str]:
    return draw(store.all(), None, columns).splitlines()


@pytest.mark.parametrize("columns", [10, 24, 40, 60, 80, 200])
def test_the_list_fits_the_terminal(store: Store, columns: int) -> None:
    """No line is wider than the terminal, whatever its text is."""
    add(store, 1, State.RUNNING, ("echo", "宽" * 60))
    add(store, 2, State.STOPPED, ("x" * 300,))
    lines = drawn(store, columns)
    assert max(map(width, lines)) <= columns
    assert len(lines) == 3
    assert all(line.startswith(("NAME", "run-")) for line in lines)


def test_narrow_terminals_lose_columns_before_the_command(store: Store) -> None:
    """The name, the state and the command's beginning are there as long as there is room for them."""
    add(store, 1, State.RUNNING, ("make", "everything", "at", "once", "please"))
    assert drawn(store, 44)[0].split() == ["NAME", "STATE", "COMMAND"]
    assert drawn(store, 44)[1].split()[:3] == ["run-1", "running", "make"]
    assert drawn(store, 200)[0].split() == ["NAME", "ID", "STATE", "CREATED", "VIEWERS", "COMMAND"]


def test_scripts_choose_runs_and_fields(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Filters select, `--json` and `--format` say which fields; a state of the end implies `--all`."""
    add(store, 1, State.STOPPED)
    add(store, 2, State.FAILED)
    assert run(["list", "--filter", "state=failed", "--json", "name,state"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "run-2", "state": "failed"}]
    assert run(["list", "-a", "-f", "name=run-1", "--format", r"{{.name}}\t{{.state}}"]) == 0
    assert capsys.readouterr().out == "run-1\tstopped\n"
    assert run(["list", "-a", "--json", "--format", "{{.name}}"]) == 2
    assert run(["list", "-a", "--json", "nam"]) == 2
    assert "there is no field 'nam'" in capsys.readouterr().err


def test_what_a_run_waits_for_has_a_column_while_one_does(store: Store) -> None:
    """It stays on a narrow terminal."""
    add(store, 1, State.RUNNING)
    waits = add(store, 2, State.RUNNING)
    assert "WAITS FOR" not in draw(store.all())
    store.update(waits, waits_for="permission")
    head, first, second = draw(store.all(), None, 60).splitlines()
    assert "WAITS FOR" in head
    assert first.index("permission") == head.index("WAITS FOR")
    assert "permission" not in second
