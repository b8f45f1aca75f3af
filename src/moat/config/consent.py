"""The user's consent to what a project's file opens.

The file may come from a stranger's repository, or an earlier run may have written it. So what it opens
(`config.openings`) holds only if the user has agreed to exactly that, for this folder: before, with
`moat trust`; when asked on a terminal; or for one run, with `--trust-project`. The settings can agree
for all projects, or for none. Where nobody can be asked, nothing starts.

What gives a run something of the user's own needs an agreement to just that: credentials (`grants:`),
secrets of the host's (`secrets:`), and variables as they are set where Moat is called. Whoever lets all
projects open what they like, or this one for one run, has not agreed to what a stranger or an earlier
run has written there.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from moat.config.openings import changes, nearest, takes_from_caller
from moat.errors import ConsentError, UsageError
from moat.runs import consents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.config.agent_file import Project
    from moat.config.openings import Change, Lines
    from moat.config.settings import Trust
    from moat.runs.agreement import Line

    Ask = Callable[["Question"], "Answer"]

_GIVING: Final = frozenset(("grants", "secrets"))
_NAMED: Final = 5
"""Things that an error names; of more it names the fields."""


class Answer(Enum):
    ONCE = auto()
    ALWAYS = auto()
    NO = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """The question whether a project's file may open what it opens."""

    file: Path
    folder: Path
    current: Lines
    agreed: Lines
    """The nearest earlier agreement of the user; empty for a project that is new."""

    @property
    def change(self) -> Change:
        return changes(self.agreed, self.current)

    @property
    def how_to_look(self) -> str:
        """The command that shows all that the file opens."""
        return f"moat trust --show {shlex.quote(str(self.folder))}"


def open_question(project: Project, trust: Trust, home: Path) -> Question | None:
    """Return what the user would have to agree to; `None` if what the file opens holds.

    Raises `UsageError` where the settings let no project open anything.
    """
    current = project.openings
    if trust == "always":
        current = tuple(line for line in current if not line.opens or gives(line))
    if project.file is None or not any(line.opens for line in current):
        return None
    if trust == "never":
        raise UsageError(
            f"your settings let a project open nothing (trust_project: never), but {project.file}"
            f" opens {_listed(changes((), current))}",
            "Write it into your settings, $MOAT_HOME/config.yaml, or on the command line, such as"
            " moat run --allow HOST",
        )
    known = [each.lines for each in consents.agreements(home, project.folder)]
    question = Question(project.file, project.folder, current, nearest(known, current))
    return question if question.change else None


def require(project: Project, trust: Trust, home: Path, ask: Ask | None) -> None:
    """Return if what the project's file opens holds. Raises `ConsentError` or `UsageError`.

    `ask` asks the user; `None` where nobody can be asked.
    """
    question = open_question(project, trust, home)
    if question is None:
        return
    if ask is None:
        raise _unanswered(question)
    match ask(question):
        case Answer.ONCE:
            return
        case Answer.ALWAYS:
            consents.agree(home, project.folder, question.current)
        case Answer.NO:
            raise ConsentError(f"nothing was started: you did not agree to {question.file}")


def gives(line: Line) -> bool:
    """Return whether an opening gives a run something that the user has, and not the project."""
    return (
        line.field in _GIVING
        or (line.field == "env" and takes_from_caller(line.value))
        or (line.field == "mcp" and "grant: " in line.value)
    )


def counted(change: Change) -> str:
    return "1 thing" if len(change) == 1 else f"{len(change)} things"


def _unanswered(question: Question) -> ConsentError:
    folder = shlex.quote(str(question.folder))
    once = (
        ""
        if any(map(gives, question.change.opened))
        else ", or for one run: moat run --trust-project"
    )
    return ConsentError(
        f"{question.file} opens {counted(question.change)} that nobody has agreed to:"
        f" {_listed(question.change)}",
        f"Look: {question.how_to_look}; agree: moat trust {folder}{once}",
    )


def _listed(change: Change) -> str:
    if len(change) > _NAMED:
        return ", ".join(change.counts())
    return "; ".join(change.texts(_NAMED))
