"""`moat AGENT [PROMPT]`, such as `moat claude`."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from moat.agents import catalog
from moat.agents.launch import AgentLaunch, require_program
from moat.cli.plain import run
from moat.errors import RunNotFoundError, UsageError
from moat.paths import moat_home

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from moat.agents.agent import Agent
    from moat.client.connect.standby import Standby


def carry_out(  # noqa: PLR0913  an option each
    *,
    agent: str,
    supervisor: Standby | None = None,
    prompt: str | None = None,
    print_mode: bool = False,
    goes_on: bool = False,
    resume: str | None = None,
    asks: bool = False,
    fresh: bool = False,
    command: tuple[str, ...] = (),
    **given: Any,
) -> int:
    """Start a run of an agent, with further options `given` of `moat run`.

    `command` has the user's own words for the agent's command line.
    """
    home = moat_home()
    known = catalog.find(agent, home)
    require_program(known, os.environ.get("PATH", os.defpath))
    if goes_on and resume is not None:
        raise UsageError("--continue and --resume exclude each other", "Give one of them")
    if fresh and (goes_on or resume is not None):
        raise UsageError("--fresh starts without any earlier session", "Leave it out to resume one")
    session = _session(home, known, resume) if resume is not None else "" if goes_on else None
    _require_supported(known, asks=asks, session=session)
    if print_mode:
        # What is piped into it belongs to the prompt, as in `git diff | moat claude -p "review it"`.
        given.setdefault("interactive", not os.isatty(0))
        if prompt is None and os.isatty(0):
            raise UsageError(
                f"there is nothing for {known.title} to answer",
                f'Give it a prompt: moat {agent} -p "PROMPT"',
            )
    else:
        _use_terminal(known, given)
    launch = AgentLaunch(
        agent=known,
        home=home,
        pick=partial(_pick, home, given.get("profile", "default")),
        prompt=prompt,
        print_mode=print_mode,
        mode="ask" if asks else "yolo",
        resume=session,
        more=command,
        fresh=fresh,
    )
    return run.carry_out(supervisor=supervisor, agent=launch, **given)


def _require_supported(agent: Agent, *, asks: bool, session: str | None) -> None:
    """Raise `UsageError` for what the agent can't be told, and would not do."""
    if asks and not agent.asks:
        raise UsageError(
            f"{agent.title} can't be told to ask before it acts",
            f"Leave out --ask; what its own settings can do: moat agents info {agent.id}",
        )
    if session == "" and not agent.lines.resume_last:
        raise UsageError(
            f"{agent.title} can't be told to go on with its newest session",
            f"Name the session: moat {agent.id} --resume ID",
        )
    if session and not agent.lines.resume:
        raise UsageError(
            f"{agent.title} can't be told to resume a session by its name",
            f"Go on with the newest one: moat {agent.id} --continue",
        )


def _use_terminal(agent: Agent, given: dict[str, Any]) -> None:
    """Give the agent a terminal: this one, or in the background one of its own."""
    given["interactive"] = True
    if given.get("detach"):
        given["tty"] = True
    elif not (os.isatty(0) and os.isatty(1)):
        raise UsageError(
            f"{agent.title} needs a terminal",
            f'For one answer without one: moat {agent.id} -p "PROMPT"; in the background: -d',
        )


def _session(home: Path, agent: Agent, reference: str) -> str:
    """Return the session that a run has begun, or else take the word for the name of a session."""
    from moat.runs.imported import check_own  # noqa: PLC0415  for --resume alone
    from moat.runs.store import Store  # noqa: PLC0415

    with Store(home) as store:
        try:
            found = store.find(reference)
        except RunNotFoundError:
            if not reference.replace("-", "").isalnum():
                raise
            return reference
        check_own(found, "its session is not here")
        setup = store.spec(found.id).agent
    if not found.ended:
        raise UsageError(
            f"the run {found.name} has not ended", f"Attach to it: moat attach {found.name}"
        )
    if setup is None or setup.name != agent.id:
        raise UsageError(f"the run {found.name} was not one of {agent.title}", "See: moat list -a")
    if not setup.session:
        raise UsageError(
            f"nobody knows which session the run {found.name} had",
            f"Name the session, or go on with the newest one: moat {agent.id} --continue",
        )
    return setup.session


def _pick(home: Path, profile: str, ways: Sequence[str]) -> str:
    """Choose the provider of which there is a credential, or else a login of the user's."""
    from moat.credentials.credential import CredentialKey  # noqa: PLC0415  a grant may be named
    from moat.credentials.vault import Vault  # noqa: PLC0415

    vault = Vault(home)
    for each in ways:
        if vault.file(CredentialKey(provider=each, profile=profile)).exists():
            return each
    return next((each for each in ways if _has_login(home, each)), ways[0])


def _has_login(home: Path, provider: str) -> bool:
    from moat.credentials.obtaining import environment, logins  # noqa: PLC0415  for a first start
    from moat.providers import catalog as providers  # noqa: PLC0415

    recipe = providers.find(provider, home).recipe
    return environment.find(recipe, os.environ) is not None or logins.has_file(recipe)
