"""`moat`: commands found by name, and errors turned into a line and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from moat.agents import SHIPPED
from moat.cli import main
from moat.cli.main import ALIASES, COMMANDS, moat, run
from moat.errors import MoatError, UsageError

# What a client of a supervisor has no use for, and what takes longer to load than all the rest.
HEAVY = {
    "aiohttp", "asyncio", "cffi", "cryptography", "email", "h11", "importlib.metadata", "logging",
    "moat.session.terminal.ghostty", "moat.session.terminal.screen", "multiprocessing", "pydantic",
    "pyghostty", "rich", "subprocess", "unittest", "uvloop", "websockets", "yaml",
}  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "-a", "--json"],
        ["attach"],
        ["logs"],
        ["stop"],
        ["screen"],
        ["send", "x", "y"],
        *([name, "--help"] for name in COMMANDS if name not in {"config", "doctor", *SHIPPED}),
    ],
    ids=" ".join,
)
def test_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    """`moat attach` paints within milliseconds of its start; each import counts against that."""
    script = (
        "import sys; from moat.cli.main import run; run(sys.argv[1:]); print(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        check=True,
        text=True,
        env={"MOAT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "moat.cli.main" in loaded
    assert not loaded & HEAVY


def test_help_lists_every_command_without_loading_one() -> None:
    """The short help is in the table, and says what the command itself does."""
    script = "import sys; from moat.cli.main import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    *text, loaded = done.stdout.splitlines()
    commands = "\n".join(text).partition("Commands:")[2]
    for name, (module, short) in COMMANDS.items():
        assert any(line.split()[:1] == [name] and short in line for line in commands.splitlines())
        assert f"moat.cli.{module}" not in loaded.split()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_explained(name: str) -> None:
    """`--help` leaves nobody guessing."""
    command = moat.get_command(click.Context(moat), name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"moat {name} {parameter.opts}"


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_mean_a_command_and_are_not_listed(alias: str, name: str) -> None:
    """Fingers that know docker find what they want."""
    context = click.Context(moat)
    assert moat.get_command(context, alias) is moat.get_command(context, name)
    assert alias not in moat.list_commands(context)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> object:
    """`raising(error)`: every command line fails with it."""

    def use(error: BaseException) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(main.moat, "main", fail)

    return use


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MoatError("no luck", "try again"), 125, "moat: no luck\n      try again\n"),
        (MoatError("no luck"), 125, "moat: no luck\n"),
        (UsageError("no sense", "say it so"), 2, "moat: no sense\n      say it so\n"),
        (click.UsageError("no such thing"), 2, "moat: no such thing\n      See: moat --help\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
    ],
    ids=repr,
)
def test_errors_become_lines_and_codes(
    error: BaseException,
    code: int,
    text: str,
    raising: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What failed and why, then what to do; never a traceback."""
    raising(error)  # type: ignore[operator]
    assert run([]) == code
    assert capsys.readouterr() == ("", text)


def test_a_bug_of_ours_is_one_line_and_a_file(
    raising: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """The traceback is where a report can take it from, not on the terminal."""
    raising(ZeroDivisionError("oh"))  # type: ignore[operator]
    assert run([]) == 125
    text = capsys.readouterr().err
    assert "internal error" in text
    assert "Traceback" not in text
    file = Path(text.split()[-1])
    assert "ZeroDivisionError: oh" in file.read_text()
    file.unlink()


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["run", "--allow"], "moat run"),
        (["logs", "--since"], "moat logs"),
        (["ls", "--nope"], "moat ls"),
        (["policy", "test", "--nope"], "moat policy test"),
        (["frobnicate"], "moat"),
    ],
)
def test_a_usage_error_leads_to_the_commands_own_help(
    arguments: list[str], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where an option lacks its value, of which click forgets the command."""
    assert run(arguments) == 2
    assert capsys.readouterr().err.endswith(f"See: {where} --help\n")


def test_an_unknown_command_or_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """In the same style as all the others."""
    for arguments in (["frobnicate"], ["list", "--frobnicate"], ["wait", "--timeout"]):
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("moat: ")


def test_a_reader_that_leaves_is_no_error() -> None:
    """`moat list --help | head -1` says nothing on stderr."""
    script = (
        "import os, sys; from moat.cli.main import run; r, w = os.pipe(); os.close(r);"
        " os.dup2(w, 1); sys.exit(run(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lst", "moat list"),
        ("atach", "moat attach"),
        ("rmm", "moat destroy"),
        ("polcy", "moat policy"),
    ],
)
def test_a_misspelt_command_is_guessed(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the command that is spelt like it; an alias stands for its command."""
    assert run([word, "x"]) == 2
    assert f"Did you mean: {meant}?" in capsys.readouterr().err


def test_a_word_like_no_command_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    """A guess that is wrong would help nobody."""
    assert run(["frobnicate"]) == 2
    assert "Did you mean" not in capsys.readouterr().err
