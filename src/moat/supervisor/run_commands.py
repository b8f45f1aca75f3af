"""Commands of a user to a run, by a request or by a key, and the events about them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from moat.errors import RunNotActiveError
from moat.events import ExecStarted, PolicyAmended, SignalSent
from moat.paths import MAIN_SESSION
from moat.supervisor import answers

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

    from moat.egress.policy.decision import Verdict
    from moat.engines.engine import Execution
    from moat.events import Peer
    from moat.keyboard.overlay import Question
    from moat.session.session import Session
    from moat.supervisor.run import Supervisor


# An event shows no more of a command than this.
_SHOWN_WORDS, _SHOWN_CHARACTERS = 64, 1000


class RunCommands:
    """The run of one supervisor, as its user commands it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def stop(
        self, peer: Peer, number: signal.Signals | None = None, patience: float | None = None
    ) -> None:
        """Return when the run has ended; see `Shutdown.stop`."""
        name = None if number is None else number.name
        self._supervisor.emit(SignalSent(MAIN_SESSION, "stop", name, peer))
        await self._supervisor.shutdown.stop(number, patience)

    def detach(self, session: str | None) -> int:
        """Detach everybody from a session, or from all; return how many that were."""
        viewers = [
            viewer
            for viewer in self._supervisor.viewers.attached
            if session is None or (viewer.session is not None and viewer.session.name == session)
        ]
        for viewer in viewers:
            viewer.dismiss("detached by moat detach")
        return len(viewers)

    async def amend(self, verdict: Verdict, rule: str, peer: Peer) -> dict[str, Any]:
        """Put a rule before all others, from now on."""
        gateway = self._supervisor.egress.gateway
        answered = await gateway.amend(verdict, rule)
        self._supervisor.emit(PolicyAmended(str(verdict), rule, answered, peer))
        return {"rule": rule, "answered": answered, "missed": gateway.missed_ports}

    async def answer(self, name: str, peer: Peer, *, allow: bool) -> dict[str, Any]:
        """Answer a question. Raise `RunNotActiveError` where it doesn't wait any more."""
        done = await answers.answer(self._supervisor, name, peer, allow=allow)
        if "rule" in done:
            amended = PolicyAmended(done["verdict"], done["rule"], done["answered"], peer)
            self._supervisor.emit(amended)
        return done

    async def execute(self, execution: Execution, peer: Peer) -> str:
        """Start a further command in the sandbox, and return the name of its session."""
        name = await self._supervisor.exec.start(execution)
        shown = tuple(word[:_SHOWN_CHARACTERS] for word in execution.command[:_SHOWN_WORDS])
        self._supervisor.emit(ExecStarted(name, shown, peer))
        return name

    def limits(self, fields: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        """Change limits of the run, if any are given; return those in force, and what is used up."""
        budget = self._supervisor.egress.budget
        if not fields:
            return budget.live.as_json()
        self._supervisor.audit.check()
        return budget.amend(fields, peer)

    # --- by a key ---

    def begin_stop(self, peer: Peer) -> None:
        """Stop the run, once it has begun."""
        self._supervisor.tasks.start(self._stop_once_begun(peer))

    async def _stop_once_begun(self, peer: Peer) -> None:
        await self._supervisor.begun.wait()
        if not self._supervisor.state.ended and self._supervisor.failure is None:
            await self.stop(peer)

    def question(self) -> Question | None:
        """Return the oldest of what waits for an answer."""
        from moat.keyboard.overlay import Question  # noqa: PLC0415  for few keys

        if not self._supervisor.begun.is_set():
            return None
        waiting = answers.waiting(self._supervisor)
        return Question(waiting[0]["name"], waiting[0]["text"]) if waiting else None

    def begin_answer(
        self, question: Question, peer: Peer, *, allow: bool, then: Callable[[], None]
    ) -> None:
        """Answer a question, and call `then`."""

        async def answer() -> None:
            with suppress(RunNotActiveError):  # somebody else has answered it meanwhile
                await self.answer(question.name, peer, allow=allow)
            then()

        self._supervisor.tasks.start(answer())

    def save_screen(self, session: Session | None) -> str:
        """Write the screen to a file, and return a line that says where, or why not."""
        if session is None or session.screen is None:
            return "screen not saved: there is none"
        now = time.strftime("%Y%m%d-%H%M%S")
        path = self._supervisor.folder.root / f"screen-{now}.txt"
        try:
            path.write_text(session.screen.contents(), encoding="utf-8")
        except OSError as exc:
            return f"screen not saved: {exc.strerror}"
        return f"screen saved: {path}"
