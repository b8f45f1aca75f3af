"""`python -m moat.cli.reference` prints docs/reference.md, which it makes from the commands."""

from __future__ import annotations

import inspect
import sys

import click

from moat.cli.main import ALIASES, moat

_HEAD = """\
# Commands

This is the help of each command (`moat COMMAND --help`), printed by
`python -m moat.cli.reference > docs/reference.md`.

RUN is the id of a run, the unique beginning of one, or its name. Where it is optional, the default is
the newest run that has not ended, or else the newest run. SESSION is `main`, the run's own command, or
one of `moat exec`: `exec-1`, `exec-2`, ... DURATION is like `10s`, `1h30m` or `500ms`.

Exit codes: `run`, `attach` and `exec` exit with the code of the command (128 + n after signal n, 126 and
127 as in a shell), or 0 after detaching. Otherwise: 0 for success, 2 for a wrong command line, 3 for an
`agent.yaml` that opens something nobody has agreed to, 124 for a `wait` that timed out, 125 for every
other failure.
"""


def reference() -> str:
    root = click.Context(moat, info_name="moat")
    parts = [_HEAD]
    for name in moat.list_commands(root):
        command = moat.get_command(root, name)
        if command is not None:
            parts += _sections(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(parts)


def _sections(command: click.Command, context: click.Context) -> list[str]:
    """Return the section of a command, and those of its subcommands."""
    pieces = " ".join(command.collect_usage_pieces(context))
    section = [f"## {context.command_path}", ""]
    section += [f"```\n{context.command_path} {pieces}\n```", ""]
    section += [_prose(command.help or ""), ""]
    aliases = [f"`moat {alias}`" for alias, name in ALIASES.items() if name == context.info_name]
    if aliases:
        section += [f"Also: {', '.join(aliases)}.", ""]
    records = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        section += [f"- `{option}`: {text}" for option, text in records] + [""]
    sections = ["\n".join(section)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                sections += _sections(inner, click.Context(inner, info_name=name, parent=context))
    return sections


def _prose(text: str) -> str:
    """Return a help text as Markdown: paragraphs that click doesn't wrap (a backspace) are code."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        f"```\n{each.removeprefix(_VERBATIM)}\n```" if each.startswith(_VERBATIM) else each
        for each in paragraphs
    )


_VERBATIM = "\b\n"

if __name__ == "__main__":
    sys.stdout.write(reference())
