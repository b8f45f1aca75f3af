"""Additions to a run whose command is an agent that Moat knows. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

AGENT_FILES: Final = "/run/moat/agent"
"""The folder of the sandbox with files that Moat alone writes."""
GUIDE: Final = "guide.md"
"""The file in it that tells the agent about its sandbox."""

AgentFileKind = Literal["once", "merged", "run"]

AgentWait = Literal["permission", "question", "error", "done"]
"""Waits of an agent: for leave to act, an answer, a way out of an error, or its next prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """A file that an agent finds when it starts."""

    path: str
    """Relative to the sandbox's home folder."""
    content: str
    kind: AgentFileKind = "once"
    """`once`: written where there is none. `merged`: JSON, set in what is there at each start. `run`:
    for this run alone, such as a login of placeholders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRule:
    """Signs by which an agent is known to wait for its user. All that are given have to hold.

    A sign is text that is part of a line; a `*` in it stands for any text. It is no regular expression,
    because the program chooses the text in which it is searched.
    """

    kind: AgentWait
    screen: tuple[str, ...] = ()
    """Signs that are all on the last lines of the screen."""
    without: tuple[str, ...] = ()
    """Signs of which none is there."""
    lines: int = 20
    """The number of last lines that count, empty ones not among them."""
    title: str = ""
    """A sign in the terminal's title."""
    notification: str = ""
    """A sign in the newest notification, since when the user has typed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSetup:
    """An agent's files in the sandbox, and which of them last."""

    name: str
    session: str = ""
    """The agent's own name for the session that the run begins or resumes; empty if it isn't known."""
    state: str = ""
    """The folder of the host with what lasts; empty where nothing does (`--fresh`)."""
    folders: tuple[str, ...] = ()
    """The folders that last, relative to the sandbox's home."""
    credentials: tuple[str, ...] = ()
    """Files in them that never last."""
    files: tuple[AgentFile, ...] = ()
    guide: str = ""
    """The path, relative to the home, at which the agent reads `GUIDE`; empty where it reads none."""
    waiting: tuple[WaitRule, ...] = ()
    """Rules by which the agent is known to wait for its user; the first that holds counts."""
