"""The `agent.yaml` that `moat init` proposes: shown, asked about, edited, written."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat import atomic
from moat.cli.consent import typed_after
from moat.cli.diff_text import painted, shown
from moat.config import agent_file, document
from moat.config.files import read_bounded
from moat.config.original_fields import INSTEAD
from moat.dependencies import catalog
from moat.errors import UsageError
from moat.printable import without_controls
from moat.survey import merging
from moat.survey.proposal import propose
from moat.survey.reading import survey
from moat.workspace.line_diff import unified

if TYPE_CHECKING:
    from pathlib import Path

    from moat.survey.proposal import Proposal

_MOST_TOLD: Final = 10
"""The most files that are named because they weren't read."""
_QUESTION: Final = "Write it? [y]es, [n]o, [e]dit: "


def propose_file(folder: Path, *, yes: bool, prints: bool, images: bool) -> None:
    """Propose the file of a project's folder, and write it if the user accepts. Raises `UsageError`."""
    file = _File.read(folder)
    found = survey(folder)
    _note(*(f"passed over: {each}" for each in found.passed_over[:_MOST_TOLD]))
    if len(found.passed_over) > _MOST_TOLD:
        _note(f"and {len(found.passed_over) - _MOST_TOLD} more were passed over")
    proposal = propose(
        found.findings,
        file.content,
        _chooses_version,
        images=images or bool({"dependencies", "base_image"} & file.content.keys()),
    )
    if file.mode is None and not any(proposal):
        _note(f"nothing was found in {folder} that belongs into an agent.yaml")
        return
    text = _proposed(file, proposal)
    if prints:
        sys.stdout.write(text)
    elif text == file.text:
        _note(f"{file.path} has all that was found; nothing is to be added")
    elif yes:
        _show(file, text)
        _write(file, text)
    else:
        accepted = _accepted(file, text)
        _write(file, accepted) if accepted is not None else _note("nothing was written")


class _File(NamedTuple):
    """A project's file, as it was when it was read."""

    path: Path
    text: str
    """Empty where there is no file."""
    content: dict[str, Any]
    mode: int | None
    """`None` where there is no file."""

    @classmethod
    def read(cls, folder: Path) -> _File:
        """Read the file of a folder. Raises `UsageError`."""
        path = agent_file.find(folder)
        if path is None:
            return cls(folder / agent_file.NAMES[0], "", {}, None)
        content = read_bounded(path, document.MAX_BYTES)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8", "Save it as UTF-8") from None
        return cls(path, text, _parsed(path, text), stat.S_IMODE(path.stat().st_mode))


def _parsed(path: Path, text: str) -> dict[str, Any]:
    return document.parse(text.encode(), path, agent_file.FIELDS, INSTEAD)


def _chooses_version(name: str) -> bool:
    entry = catalog.ENTRIES.get(name)
    return entry is not None and entry.chooses_version


def _proposed(file: _File, proposal: Proposal) -> str:
    """Return the text with the proposal in it. Raises `UsageError` where it can't be put in."""
    if file.mode is None:
        text = merging.new_text(proposal.lines, proposal.suggestions)
        _parsed(file.path, text)
        return text
    _note(*(f"also found: {each}" for each in proposal.suggestions))
    if not proposal.lines:
        return file.text
    text = _merged(file, proposal)
    if text is not None:
        return text
    lines = "; ".join(
        f"{'.'.join(each.field)}: {each.name and f'{each.name}: '}{each.value}"
        for each in proposal.lines
    )
    raise UsageError(
        f"{file.path} is written in a way into which nothing can be added",
        f"Add by hand what you want of this: {without_controls(lines)}",
    )


def _merged(file: _File, proposal: Proposal) -> str | None:
    """Return the text with the lines in it; `None` where it wouldn't say what it said, and they."""
    try:
        text = merging.merged(file.text, proposal.lines)
        content = _parsed(file.path, text)
    except (merging.UnmergeableError, UsageError):
        return None
    return text if content == merging.with_lines(file.content, proposal.lines) else None


def _accepted(file: _File, text: str) -> str | None:
    """Return the text that the user wants written; `None` for none."""
    fault = ""
    while True:
        _show(file, text)
        if fault:
            _note(fault)
        word = typed_after(_QUESTION)
        if word in {"y", "yes"} and not fault:
            return text
        if word in {"n", "no", None}:
            return None
        if word in {"e", "edit"}:
            text, fault = _edited(file, text)


def _edited(file: _File, text: str) -> tuple[str, str]:
    """Return what the user makes of a text, and what is wrong with it."""
    from moat.ground.editor import edited  # noqa: PLC0415  starts programs

    try:
        text = edited(text, file.path.name, document.MAX_BYTES)
        _parsed(file.path, text)
    except UsageError as error:
        return text, ". ".join(filter(None, (error.summary, error.hint)))
    return text, ""


def _show(file: _File, text: str) -> None:
    """Print the difference to what is there."""
    name = file.path.name
    lines = [f"--- {name if file.mode is not None else '/dev/null'}\n", f"+++ {name}\n"]
    lines += [shown(each) for each in unified(file.text.encode(), text.encode())]
    sys.stdout.writelines(map(painted, lines) if sys.stdout.isatty() else lines)
    sys.stdout.flush()


def _write(file: _File, text: str) -> None:
    """Write the file, unless somebody else has meanwhile. Raises `UsageError`."""
    from moat.cli.trust import note_open_question  # noqa: PLC0415  only where something is written

    if _File.read(file.path.parent) != file:
        raise UsageError(f"{file.path} has changed meanwhile", "Call moat init again")
    try:
        if file.mode is None:
            with file.path.open("x") as new:
                new.write(text)
        else:
            atomic.replace_file(file.path, text.encode(), durable=False, mode=file.mode)
    except OSError as exc:
        raise UsageError(f"{file.path} can't be written: {exc.strerror}") from exc
    _note(f"wrote {file.path}")
    note_open_question(agent_file.load(file.path))


def _note(*lines: str) -> None:
    sys.stderr.write("".join(f"moat: {without_controls(each)}\n" for each in lines))
