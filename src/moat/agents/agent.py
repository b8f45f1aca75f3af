"""An agent: how it is started, and what it finds in its sandbox. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from moat.spec.agent import AgentFileKind, WaitRule

Mode = Literal["yolo", "ask"]

_NAME: Final = re.compile(
    r"\{(?:([A-Z][A-Z0-9_]*)(?::-(\d+))?|(login|session|prompt|server|url))\}"
)


class MissingError(LookupError):
    """A text names something that the run doesn't have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A way in which the agent can be logged in."""

    provider: str
    """The provider whose credential it uses (`moat grant`)."""
    word: str = ""
    """The agent's own word for it: `{login}` in its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The words of the agent's command line, in this order, with the prompt at the end."""

    options: tuple[str, ...] = ()
    """Always."""
    yolo: tuple[str, ...] = ()
    """Options with which the agent acts without asking."""
    ask: tuple[str, ...] = ()
    """Options with which the agent asks before it acts."""
    print: tuple[str, ...] = ()
    """Options with which the agent answers one prompt and ends."""
    begin: tuple[str, ...] = ()
    """Options for a new session, which may be given a name: `{session}`."""
    resume_last: tuple[str, ...] = ()
    """Options that resume the newest session of the project."""
    resume: tuple[str, ...] = ()
    """Options that resume a session by its name."""
    prompt: tuple[str, ...] = ("{prompt}",)
    print_prompt: tuple[str, ...] = ()
    """The prompt with `print`, if it has another form there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the sandbox.

    In its content `{NAME}` stands for a variable of the command, `{NAME:-20}` for its last 20
    characters, and `{login}` for the word of the login. A file that names what the run
    doesn't have is left out.
    """

    path: str
    content: str = ""
    kind: AgentFileKind = "once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The form in which the agent is told of an MCP server: `{server}` is its name, `{url}` its URL."""

    path: str = ""
    """A JSON file of its, in which each server is set."""
    content: str = ""
    """What is set there."""
    words: tuple[str, ...] = ()
    """Words of its command line, in place of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A program, and what it needs to be at home."""

    id: str
    title: str
    notes: str = ""
    """Remarks for the user, shown in the reference."""
    tested: str = ""
    """The version that Moat's own tests run; empty for none."""
    command: tuple[str, ...]
    install: str = ""
    """The command that installs it."""
    asks: bool = True
    """Its command line can have it ask before it acts."""
    logins: tuple[Login, ...] = ()
    """The ways to log in, the usual one first."""
    own_login: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables by which the user logs it in without Moat, and the word of that login."""
    hosts: tuple[str, ...] = ()
    """Hosts that it needs besides those of its login."""
    state: tuple[str, ...] = ()
    """The folders of its home that last from run to run."""
    credentials: tuple[str, ...] = ()
    """Files in these that don't."""
    guide: str = ""
    """Path, in the home folder, of the instructions that the agent reads in all projects."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: tuple[File, ...] = ()
    mcp: Servers = field(default_factory=Servers)
    lines: Lines = field(default_factory=Lines)
    waiting: tuple[WaitRule, ...] = ()
    """Rules by which the agent is known to wait for its user; the first that holds counts."""
    builtin: bool = True

    def command_line(
        self,
        *,
        mode: Mode = "yolo",
        print_mode: bool = False,
        resume: str | None = None,
        session: str = "",
        prompt: str | None = None,
        more: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        """Return the words that start it.

        `resume` is the name of a session, or empty for the newest one; `session` names a new one.
        """
        lines = self.lines
        words = [*self.command, *lines.options, *(lines.yolo if mode == "yolo" else lines.ask)]
        words += lines.print if print_mode else ()
        if resume is None:
            words += [filled(each, session=session) for each in lines.begin]
        elif resume:
            words += [filled(each, session=resume) for each in lines.resume]
        else:
            words += lines.resume_last
        words += more
        if prompt is not None:
            form = lines.print_prompt if print_mode and lines.print_prompt else lines.prompt
            words += [filled(each, prompt=prompt) for each in form]
        return tuple(words)

    @property
    def names_sessions(self) -> bool:
        """Tell whether a new session can be given a name, by which a run is resumed."""
        return any("{session}" in word for word in self.lines.begin)


def filled(template: str, variables: Mapping[str, str] | None = None, **words: str) -> str:
    """Return the template with the values of variables, and of words such as `login` and `prompt`.

    Raises `MissingError`.
    """
    known = variables or {}

    def value(found: re.Match[str]) -> str:
        name, tail, word = found.groups()
        if word is not None:
            if word not in words:
                raise MissingError(word)
            return words[word]
        if name not in known:
            raise MissingError(name)
        return known[name][-int(tail) :] if tail else known[name]

    return _NAME.sub(value, template)
