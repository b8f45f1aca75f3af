"""RUN, signals, and the command behind `--`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from moat.cli.arguments import (
    HostGlob,
    WithCommand,
    signal_number,
    split_at_dashes,
)
from moat.cli.found import find_session
from moat.cli.main import moat, run
from moat.errors import UsageError
from moat.runs import session_records
from moat.runs.session_records import SessionRecord
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


def split(arguments: list[str], *, paths: bool = False) -> tuple[str | None, tuple[str, ...], bool]:
    """(word before, command, -x) as a command of ours gets them."""
    got: list[tuple[str | None, tuple[str, ...], bool]] = []

    @click.command(cls=WithCommand)
    @click.argument("before", nargs=-1)
    @click.option("-x", is_flag=True)
    @click.pass_context
    def command(ctx: click.Context, before: tuple[str, ...], x: bool) -> None:
        got.append((*split_at_dashes(ctx, before, paths=paths), x))

    command.main(arguments, standalone_mode=False)
    return got[0]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["--", "-x"])))
def test_the_command_is_what_stands_behind_the_first_dashes(words: list[str]) -> None:
    """Also further dashes, our own options, and empty words."""
    assert split(["-x", "word", "--", *words]) == ("word", tuple(words), True)


def test_without_dashes_there_is_no_command() -> None:
    """And options may follow the word."""
    assert split(["word", "-x"]) == ("word", (), True)
    assert split([]) == (None, (), False)
    assert split(["--"]) == (None, (), False)


def test_a_command_without_dashes_is_told_how_to_write_it() -> None:
    """The most common mistake gets the line that works."""
    with pytest.raises(UsageError) as raised:
        split(["make", "all"])
    assert raised.value.hint is not None
    assert raised.value.hint.endswith("-- make all")


def test_paths_without_dashes_are_told_how_to_write_them() -> None:
    """The run stays before the dashes."""
    with pytest.raises(UsageError) as raised:
        split(["fix", "src", "docs"], paths=True)
    assert raised.value.hint is not None
    assert raised.value.hint.endswith("fix -- src docs")


@pytest.mark.parametrize("text", ["INT", "int", "SIGINT", "sigint", "2"])
def test_signals_have_names_and_numbers(text: str) -> None:
    """As kill(1) takes them."""
    assert signal_number(text) == signal.SIGINT


@pytest.mark.parametrize("text", ["", "SIG", "NOPE", "-1", "1.5", "²"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError):
        signal_number(text)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs in a store: their ids."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    ids = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]
    with Store() as store:
        for number, run_id in enumerate(ids):
            store.create(
                RunSpec(
                    id=RunId(run_id),
                    name=f"fix-{number}",
                    command=("x",),
                    workspace="/",
                    created_at=f"2026-01-01T00:00:0{number}.000Z",
                )
            )
    return ids


def completed(*words: str) -> list[str]:
    """What Tab offers for the last word."""
    completion = BashComplete(moat, {}, "moat", "_MOAT_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


def test_runs_are_completed(runs: list[str]) -> None:
    """By name, and by id once one has begun to type it."""
    assert completed("attach", "") == ["fix-1", "fix-0"]
    assert completed("destroy", "fix-0", "fix") == ["fix-1", "fix-0"]
    assert completed("logs", "bb") == [runs[1]]
    assert completed("exec", "fix-1") == ["fix-1"]


def test_commands_that_need_a_living_run_offer_no_other(runs: list[str]) -> None:
    """Attach, stop and send leave out what has ended; logs doesn't."""
    with Store() as store:
        store.update(runs[0], state=State.STOPPED)
        ended = store.get(runs[0]).name
    for command in ("attach", "stop", "send", "kill", "detach"):
        assert ended not in completed(command, "")
    assert ended in completed("logs", "")


def test_programs_are_completed_after_the_dashes(
    runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first word is a program of the PATH, and what follows are files, as in a shell."""
    for name, mode in (("agent-a", 0o755), ("agent-b", 0o755), ("agent-text", 0o644)):
        (tmp_path / name).touch(mode)
    (tmp_path / "agent-folder").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{tmp_path / 'missing'}")
    assert completed("run", "--", "agent-") == ["agent-a", "agent-b"]
    assert completed("exec", "fix-1", "--", "agent-b") == ["agent-b"]
    assert completed("exec", "fi") == ["fix-1", "fix-0"]
    completion = BashComplete(moat, {}, "moat", "_MOAT_COMPLETE")
    for before, begun in ((["run", "--", "agent-a"], "x"), (["run", "--"], "./x"), (["run"], "x")):
        assert [each.type for each in completion.get_completions(before, begun)] == ["file"]


def test_keys_are_completed() -> None:
    """The names of keys are offered as `moat send --help` writes them."""
    assert completed("send", "x", "--key", "pa") == ["Pageup", "Pagedown"]


def test_sessions_are_completed(runs: list[str]) -> None:
    """Behind the slash, for a command that takes one."""
    with Store() as store:
        session_records.write(store.folder(runs[0]), "exec-1", SessionRecord())
    assert completed("attach", "fix-0/") == ["fix-0/main", "fix-0/exec-1"]
    assert completed("attach", "fix-0/e") == ["fix-0/exec-1"]
    assert completed("stop", "fix-0/") == []


def test_commands_and_options_are_completed() -> None:
    """From the same tables as the help."""
    assert completed("des") == ["destroy"]
    assert "--timestamps" in completed("logs", "--t")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    """For each shell that click knows."""
    result = CliRunner().invoke(moat, ["completion", shell])
    assert "_MOAT_COMPLETE" in result.output


@pytest.mark.parametrize("glob", ["", "[", "a[b", "[]", "[a]["])
def test_a_pattern_that_no_host_could_match_is_refused(
    glob: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instead of an empty answer that looks like one."""
    assert run(["trace", "--host", glob]) == 2
    assert "--host" in capsys.readouterr().err


@pytest.mark.parametrize("glob", ["*", "a.com", "[ab].com", "[^a-c]*.com", "[]]", "::1"])
def test_a_pattern_is_taken(glob: str) -> None:
    """As SQLite's GLOB has it."""
    assert HostGlob().convert(glob, None, None) == glob


@pytest.mark.parametrize(
    ("reference", "option", "found"),
    [
        ("{}", None, "main"),
        ("{}/exec-1", None, "exec-1"),
        ("{}", "exec-1", "exec-1"),
        ("{}/exec-1", "exec-1", "exec-1"),
        (None, "exec-2", "exec-2"),
    ],
)
def test_a_session_is_named_behind_its_run_or_by_an_option(
    runs: list[str], reference: str | None, option: str | None, found: str
) -> None:
    """Without either it is the run's own command."""
    name = None if reference is None else reference.format(runs[0])
    with Store() as store:
        assert find_session(store, name, option)[1] == found


@pytest.mark.parametrize(
    ("reference", "option"), [("{}/exec-1", "exec-2"), ("{}/", None), ("/x", None)]
)
def test_two_sessions_and_half_of_one_are_refused(
    runs: list[str], reference: str, option: str | None
) -> None:
    """Nobody is attached to what they did not mean."""
    with Store() as store, pytest.raises(UsageError, match="session"):
        find_session(store, reference.format(runs[0]), option)
