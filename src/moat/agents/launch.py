"""The needs of an agent in one run: credentials, command, files and state."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.agents import state
from moat.agents.agent import MissingError, filled
from moat.config.run_agent import AgentStart
from moat.errors import UsageError
from moat.spec import AgentFile, AgentSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from moat.agents.agent import Agent, File, Mode
    from moat.spec import Grant, McpServer

_SHELL: Final = ".local/state/shell"
"""The folder with the history of shells, for every agent."""
_SHELL_VARIABLES: Final = {"HISTFILE": f"/home/agent/{_SHELL}/history"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLaunch:
    """An agent as the user wants it started. Implements `config.run_agent.RunAgent`."""

    agent: Agent
    home: Path
    """The store."""
    pick: Callable[[Sequence[str]], str]
    """Chooses one of several providers that the agent can be logged in with."""
    prompt: str | None = None
    print_mode: bool = False
    mode: Mode = "yolo"
    resume: str | None = None
    """The name of a session, empty for the newest one; `None` for a new one."""
    more: tuple[str, ...] = ()
    """The user's own words for the agent's command line."""
    fresh: bool = False
    """Nothing of earlier runs is there, and nothing lasts."""

    def grants(self, named: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
        ways = [each.provider for each in self.agent.logins]
        has_one = any(_provider(each) in ways for each in named)
        if not ways or has_one or self.agent.own_login.keys() & env.keys():
            return ()
        return (self.pick(ways),)

    def start(
        self,
        run_id: str,
        workspace: str,
        grants: Sequence[Grant],
        env: Mapping[str, str],
        servers: Sequence[McpServer] = (),
    ) -> AgentStart:
        agent = self.agent
        session = self.resume or ""
        if self.resume is None and agent.names_sessions:
            session = session_of(run_id)
        variables = {**_SHELL_VARIABLES, **agent.env}
        known = {**variables, **_granted(grants), **env}
        setup = AgentSetup(
            name=agent.id,
            session=session,
            state="" if self.fresh else str(state.place(self.home, workspace, agent.id)),
            folders=(*agent.state, _SHELL),
            credentials=agent.credentials,
            files=(
                *_files(agent.files, known, self._word(grants, known)),
                *_server_files(agent, servers),
            ),
            guide=agent.guide,
            waiting=agent.waiting,
        )
        command = agent.command_line(
            mode=self.mode,
            print_mode=self.print_mode,
            resume=self.resume,
            session=session,
            prompt=self.prompt,
            more=(*_server_words(agent, servers), *self.more),
        )
        return AgentStart(command, variables, agent.hosts, setup)

    def _word(self, grants: Sequence[Grant], env: Mapping[str, str]) -> str | None:
        """Return the agent's own word for the login that it has."""
        words = {each.provider: each.word for each in self.agent.logins}
        granted = (words[each.provider] for each in grants if each.provider in words)
        own = (word for name, word in self.agent.own_login.items() if name in env)
        return next(granted, next(own, None))


def _provider(grant: str) -> str:
    return grant.partition("@")[0].partition(":")[0]


def _granted(grants: Sequence[Grant]) -> dict[str, str]:
    return {name: value for grant in grants for name, value in grant.env.items()}


def _files(files: Sequence[File], env: Mapping[str, str], login: str | None) -> Iterator[AgentFile]:
    """Yield the files with what they name filled in, but for those that name what isn't there."""
    words = {} if login is None else {"login": login}
    for each in files:
        is_json = each.path.endswith(".json")
        values = {name: json.dumps(value)[1:-1] for name, value in env.items()} if is_json else env
        try:
            content = filled(each.content, values, **words)
        except MissingError:
            continue
        yield AgentFile(path=each.path, content=content, kind=each.kind)


def _server_words(agent: Agent, servers: Sequence[McpServer]) -> Iterator[str]:
    """Yield the words that tell the agent of its MCP servers."""
    for each in servers:
        for word in agent.mcp.words:
            yield filled(word, server=each.name, url=each.url)


def _server_files(agent: Agent, servers: Sequence[McpServer]) -> Iterator[AgentFile]:
    """Yield the files that tell the agent of its MCP servers."""
    told = agent.mcp
    if not told.path:
        return
    for each in servers:
        content = filled(told.content, server=each.name, url=each.url)
        yield AgentFile(path=told.path, content=content, kind="merged")


def session_of(run_id: str) -> str:
    """Return the name of a run's session: a UUID (RFC 9562, version 8), made from the run's id."""
    text = hashlib.sha256(f"moat {run_id}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-a{text[17:20]}-{text[20:32]}"


def require_program(agent: Agent, search_path: str) -> None:
    """Raise `UsageError`, with the command that installs the agent, where PATH doesn't have it."""
    program = agent.command[0]
    for folder in [""] if "/" in program else search_path.split(os.pathsep):
        if os.access(os.path.join(folder, program), os.X_OK):  # noqa: PTH118  strings, for speed
            return
    raise UsageError(
        f"{agent.title} is not installed: there is no {program} on your PATH",
        f"Install it: {agent.install}" if agent.install else f"Install {program}",
    )
