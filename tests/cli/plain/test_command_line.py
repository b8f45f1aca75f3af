"""Command lines that are read without click mean what they mean to click."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.agents import SHIPPED
from moat.cli import main
from moat.cli.arguments import split_at_dashes
from moat.cli.plain.command_line import parse
from moat.cli.plain.dispatch import plain_command

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("attach", "list", "logs", "send", "version", "ls", "ps")
WORDS = st.sampled_from(
    [
        *(
            "a",
            "web",
            "-",
            "--",
            "",
            "7",
            "-1",
            "1.5",
            "0x10",
            "\N{ARABIC-INDIC DIGIT ONE}",
            "9" * 12,
            "Enter",
            "é",
            "-x",
        ),
        *("-a", "--all", "--json", "--watch", "-f", "--follow", "--timestamps", "--read-only"),
        *("-n", "-n3", "--lines", "--lines=3", "-k", "--key", "--key=Tab", "--stdin", "-fn"),
        *("--help", "-h", "-i", "-i=false", "--since", "--stream", "stderr", "--session"),
    ]
)


def clicks_meaning(name: str, words: list[str]) -> dict[str, Any]:
    """What click gives the function of the command, as the plain function would be given it."""
    group = click.Context(main.moat)
    command = main.moat.get_command(group, name)
    assert command is not None
    return command.make_context(name, list(words), parent=group).params


@given(st.sampled_from(NAMES), st.lists(WORDS, max_size=5))
def test_a_plain_command_line_means_what_it_means_to_click(name: str, words: list[str]) -> None:
    """A line that is read here has the same options as read by click; what click refuses isn't plain."""
    plain = parse([name, *words])
    if plain is None:
        return
    module = importlib.import_module(f"moat.cli.plain.{plain.name}")
    bound = inspect.signature(module.carry_out).bind(**plain.given)
    bound.apply_defaults()
    assert bound.arguments == clicks_meaning(name, words)


RUN_WORDS = st.sampled_from(
    [
        *("-i", "-t", "-d", "-it", "-dit", "-in", "-n", "-nx", "--name", "--tty", "--detach", "-w"),
        *("-e", "--env", "A=1", "A=-1", "-m", "--mount", "/a:/b", "--allow", "--deny", "--keep"),
        *("-p", "--publish", "web=3000", "-p3000", "--host-port", "mcp:5055"),
        *(
            "--",
            "-",
            "--cpus",
            "1",
            "--memory=1g",
            "--writable-git",
            "--help",
            "x",
            "",
            "--workdir",
        ),
    ]
)


@given(st.lists(RUN_WORDS, max_size=6), st.lists(RUN_WORDS, max_size=2))
def test_a_plain_run_means_what_it_means_to_click(words: list[str], command: list[str]) -> None:
    """Its options, its folder, and the command after the first `--`, whatever that looks like."""
    line = [*words, "--", *command]
    plain = parse(["run", *line])
    if plain is None:
        return
    group = click.Context(main.moat)
    run = main.moat.get_command(group, "run")
    assert run is not None
    context = run.make_context("run", list(line), parent=group)
    defaults = (None, False, (), "default")  # the last of --profile
    options = {name: value for name, value in context.params.items() if value not in defaults}
    path, after = split_at_dashes(context, options.pop("before", ()))
    assert {"path": path, "command": after, **options} == {"path": None, **plain.given}


AGENT_WORDS = st.sampled_from(
    [
        *("-p", "--print", "-c", "--continue", "-pc", "-r", "--resume", "one", "--ask", "--yolo"),
        *(
            "--fresh",
            "-C",
            "--project",
            "/a",
            "-i",
            "-t",
            "-d",
            "-dp",
            "-n",
            "x",
            "--worktree",
            "b",
        ),
        *("--publish", "web=3000", "--host-port", "5432"),
        *("-e", "A=1", "--grant", "github", "fix it", "", "-", "--", "--help"),
    ]
)


@given(
    st.sampled_from(SHIPPED),
    st.lists(AGENT_WORDS, max_size=6),
    st.lists(AGENT_WORDS, max_size=2),
)
def test_a_plain_start_of_an_agent_means_what_it_means_to_click(
    name: str, words: list[str], command: list[str]
) -> None:
    """Its options and those of a run, its prompt, and the agent's own words after the first `--`."""
    line = [*words, "--", *command]
    plain = parse([name, *line])
    if plain is None:
        return
    group = click.Context(main.moat)
    agent = main.moat.get_command(group, name)
    assert agent is not None
    context = agent.make_context(name, list(line), parent=group)
    defaults = (None, False, (), "default")
    options = {key: value for key, value in context.params.items() if value not in defaults}
    prompt, after = split_at_dashes(context, options.pop("before", ()))
    read = {"agent": name, "prompt": prompt, "command": after, **options}
    assert (plain.name, {"prompt": None, **plain.given}) == ("agent", read)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("version", {}),
        ("ls -a --json", {"everything": True, "as_json": True}),
        ("grant list", {}),
        ("grant list --json", {"as_json": True}),
        ("logs web -f -n 10", {"run": "web", "follows": True, "count": 10}),
        ("logs -n 10 --lines 5", {"count": 5}),
        (
            "send web hello -k Enter -k C-c",
            {"run": "web", "text": "hello", "keys": ("Enter", "C-c")},
        ),
        ("run -- ls -l", {"command": ("ls", "-l")}),
        (
            "run -it app -- sh",
            {"interactive": True, "tty": True, "path": "app", "command": ("sh",)},
        ),
        ("attach", {}),
        ("attach web --read-only", {"run": "web", "read_only": True}),
    ],
)
def test_what_people_type_most_is_plain(line: str, options: dict[str, Any]) -> None:
    """These are the command lines that have to be quick."""
    plain = parse(line.split())
    assert plain is not None
    assert plain.given == options


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "list extra",
            "list --help",
            "grant",
            "grant list x",
            "grant list --help",
            "grant lists",
            "logs -n",
            "logs -n x",
            "logs -n -1",
            "send",
            "--version",
        ),
        *(
            "send web -k",
            "run --cpus 2 -- true",
            "attach a b",
            "list -ax",
            "version --json",
            "nope",
        ),
    ],
)
def test_everything_else_is_clicks(line: str) -> None:
    """Help, mistakes and rare spellings have one author."""
    assert parse(line.split()) is None


def test_completion_is_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that asks what could follow is answered, and nothing is carried out."""
    assert plain_command(["list"]) is not None
    monkeypatch.setenv("_MOAT_COMPLETE", "bash_complete")
    assert plain_command(["list"]) is None


# What takes longer to load than these commands take; see `moat.cli.plain`.
SLOW = {
    "asyncio", "calendar", "cffi", "click", "ctypes", "email", "inspect", "logging", "moat.spec",
    "subprocess", "tempfile", "threading", "uuid", "yaml",
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "budget", "allowed"),
    [
        ("version", 75, set[str]()),
        ("list", 110, set[str]()),
        ("list -a", 110, set[str]()),
        ("grant list", 120, {"inspect"}),
        ("send nobody x", 130, set[str]()),
        ("logs -n 10", 150, {"inspect", "moat.spec"}),
        ("attach", 185, {"inspect", "moat.spec"}),
    ],
)
def test_plain_commands_keep_to_a_budget_of_imports(
    line: str, budget: int, allowed: set[str], tmp_path: Path
) -> None:
    """Every module costs a fifth of a millisecond and more, each time that the command is given."""
    script = (
        "import atexit, sys; before = set(sys.modules);"
        "atexit.register(lambda: print('\\n', *sys.modules.keys() - before));"
        "sys.argv[1:] = sys.argv[1].split(); from moat.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, line],
        capture_output=True,
        check=False,
        text=True,
        env={"MOAT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "moat.cli.plain.dispatch" in loaded
    assert not loaded & (SLOW - allowed)
    assert len(loaded) <= budget
