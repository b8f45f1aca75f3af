"""The small commands, on runs that have ended: they need no supervisor and start none."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import Mount, Network, RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a run "fix" that has stopped with 3, and one "gone" that was lost."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    with Store() as store:
        for name, state, exit_code in (("fix", State.STOPPED, 3), ("gone", State.LOST, None)):
            spec = RunSpec(
                id=RunId(f"{name}-id"),
                name=name,
                command=("make",),
                workspace="/w",
                created_at="2026-01-01T00:00:00.000Z",
                env={"TOKEN": "secret", "A": "1"},
                mounts=(Mount("/data", "/data", "ro"),),
                network=Network(policy="ask", upstream_proxy="http://me:secret@proxy:3128"),
            )
            store.create(spec)
            store.update(spec.id, state=state, exit_code=exit_code)
    return tmp_path / "home"


@pytest.fixture
def moat(home: Path, capsys: pytest.CaptureFixture[str]) -> object:
    """`moat(...)`: (exit code, stdout, stderr)."""
    assert home.exists()

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_wait_prints_the_exit_code(moat) -> None:  # type: ignore[no-untyped-def]
    """And says so where nobody knows it."""
    assert moat("wait", "fix") == (0, "3\n", "")
    code, out, err = moat("wait", "gone")
    assert (code, out) == (125, "")
    assert "lost" in err
    assert moat("wait", "fix", "--idle", "1s")[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [("--exit", "--idle", "1s"), ("--text", "("), ("--idle", "soon"), ("--timeout", "never")],
    ids=" ".join,
)
def test_wait_refuses_what_it_does_not_understand(moat, arguments: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """Before it waits."""
    assert moat("wait", "fix", *arguments)[0] == 2


def test_inspect_shows_names_of_variables_not_their_values(moat) -> None:  # type: ignore[no-untyped-def]
    """What is printed is pasted into bug reports."""
    code, out, _ = moat("inspect", "fix")
    shown = json.loads(out)
    assert code == 0
    assert (shown["name"], shown["exit_code"], shown["env"]) == ("fix", 3, ["A", "TOKEN"])
    assert shown["mounts"] == [{"source": "/data", "target": "/data", "mode": "ro"}]
    assert shown["network"]["policy"] == "ask"
    assert shown["network"]["upstream_proxy"] == "http://me:***@proxy:3128"
    assert {"id", "state", "viewers", "supervisor", "pid", "limits"} <= shown.keys()
    assert "secret" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("stop", "fix"),
        ("kill", "fix"),
        ("detach", "fix"),
        ("send", "fix", "x"),
        ("exec", "fix", "--", "x"),
    ],
    ids=" ".join,
)
def test_a_run_that_has_ended_is_named_with_its_state(moat, arguments: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """Nothing is started for it."""
    code, out, err = moat(*arguments)
    assert (code, out) == (125, "")
    assert "fix is stopped" in err


@pytest.mark.parametrize(
    "arguments",
    [("send", "fix"), ("send", "fix", "x", "--stdin"), ("send", "fix", "--key", "Nope"),
     ("stop", "fix", "-s", "NOPE"), ("screen", "fix"), ("exec", "fix"), ("destroy",)],
    ids=" ".join,
)  # fmt: skip
def test_senseless_requests_are_usage_errors(moat, arguments: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """Whatever the run's state."""
    assert moat(*arguments)[0] == 2


def test_destroy_removes_row_and_folder(moat, home: Path) -> None:  # type: ignore[no-untyped-def]
    """Of all that are named; an unknown one is an error before anything is removed."""
    assert moat("destroy", "fix", "nobody")[0] == 125
    assert len(list((home / "runs").iterdir())) == 2
    assert moat("destroy", "fix", "gone") == (0, "fix\ngone\n", "")
    assert list((home / "runs").iterdir()) == []
    assert moat("list", "-a", "--json")[1] == "[]\n"


def test_config_checks_a_project_and_prints_the_schema(moat, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """For people and for editors."""
    assert moat("config", "check", str(tmp_path))[0] == 2
    (tmp_path / "agent.yaml").write_text("command: x\n")
    assert moat("config", "check", str(tmp_path))[0] == 0
    (tmp_path / "agent.yaml").write_text("comand: x\n")
    code, _, err = moat("config", "check", str(tmp_path))
    assert (code, "agent.yaml:1: unknown field 'comand'" in err) == (2, True)
    assert "mounts" in json.loads(moat("config", "schema")[1])["properties"]


def test_an_unknown_run_is_named(moat) -> None:  # type: ignore[no-untyped-def]
    """With the way to see those that there are."""
    for command in ("attach", "logs", "inspect", "stop"):
        code, _, err = moat(command, "nobody")
        assert (code, "'nobody'" in err, "moat list -a" in err) == (125, True, True)


def test_halves_of_runs_are_named_and_removed(moat, home: Path) -> None:  # type: ignore[no-untyped-def]
    """A row whose folder somebody has deleted, and a folder that no row knows (case 43)."""
    shutil.rmtree(home / "runs" / "fix-id")
    (home / "runs" / "loose").mkdir()
    code, out, _ = moat("list", "-a")
    assert code == 0
    assert "fix: its folder is gone. Remove it: moat destroy fix\n" in out
    assert "loose: this folder is in no index. Remove it: moat destroy loose, or" in out
    assert "gone: its folder" not in out
    code, out, err = moat("list", "-a", "--json")
    assert {run["name"] for run in json.loads(out)} == {"fix", "gone"}
    assert err.count("Remove it") == 2
    assert moat("destroy", "fix", "loose") == (0, "loose\nfix\n", "")
    assert moat("list", "-a")[1].count("Remove it") == 0
    assert [path.name for path in (home / "runs").iterdir()] == ["gone-id"]


def test_destroy_tries_every_run(moat, home: Path) -> None:  # type: ignore[no-untyped-def]
    """One that lives is reported, and the others are removed all the same."""
    with Store(home) as store:
        store.update("gone-id", state=State.RUNNING)
    code, out, err = moat("destroy", "gone", "fix", "fix")
    assert (code, out) == (125, "fix\n")
    assert "run gone is running" in err
    assert "moat destroy -f gone" in err
