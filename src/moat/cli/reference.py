"""`python -m moat.cli.reference`: docs/reference.md, from the commands themselves."""

from __future__ import annotations

import inspect
import sys

import click

from moat.cli.main import ALIASES, moat

_HEAD = """\
# Commands

What `moat COMMAND --help` says, made from the commands themselves by
`python -m moat.cli.reference > docs/reference.md`.

RUN is a run's id, the unique beginning of one, or its name; where it can be left out, the newest that
has not ended is meant, or else the newest. DURATION is like `10s`, `1h30m` or `500ms`.

Exit codes: the command's own where Moat stands for one (`run`, `attach`, `exec`; 128 + n for signal n,
126 and 127 as a shell's); 0 after detaching; 2 for a command line that can't be; 124 for a `wait` that
timed out; 125 for everything else that went wrong.
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
    """A command's, and those of its own commands."""
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
    """Paragraphs; those that click is told (by a backspace) not to wrap are examples."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        f"```\n{each.removeprefix(_VERBATIM)}\n```" if each.startswith(_VERBATIM) else each
        for each in paragraphs
    )


_VERBATIM = "\b\n"

if __name__ == "__main__":
    sys.stdout.write(reference())
