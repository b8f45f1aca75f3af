"""The desk of somebody whose keyboard is read here: one client, its program and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.supervisor.shown import ShownScreen
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.events import Peer
    from moat.keyboard.overlay import Question
    from moat.session.session import Session
    from moat.supervisor.connection import FrameConnection
    from moat.supervisor.run_commands import RunCommands
    from moat.supervisor.said import Said
    from moat.supervisor.shown import Shown


class ClientDesk:
    """Implements `lent_keyboard.Desk`. Until the client has joined a session, input waits here."""

    def __init__(
        self, connection: FrameConnection, commands: RunCommands, detach: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._commands = commands
        self._said: Said | None = None
        self._shown: Shown | None = None
        self._session: Session | None = None
        self._early: list[Callable[[Said], None]] = []
        self.detach = detach

    @property
    def _peer(self) -> Peer:
        return self._connection.peer

    def joined(self, said: Said, shown: Shown, session: Session) -> None:
        """Type what was typed before."""
        self._said, self._shown, self._session = said, shown, session
        early, self._early = self._early, []
        for type_now in early:
            type_now(said)

    def type(self, data: bytes, taken: Callable[[int], None], *, by_itself: bool) -> None:
        if self._said is None:
            self._early.append(lambda said: said.type(data, taken, by_itself=by_itself))
        else:
            self._said.type(data, taken, by_itself=by_itself)

    def stop(self) -> None:
        self._commands.begin_stop(self._peer)

    def save_screen(self) -> str:
        return self._commands.save_screen(self._session)

    def question(self) -> Question | None:
        return self._commands.question()

    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None:
        self._commands.begin_answer(question, self._peer, allow=allow, then=then)

    def hint(self, text: str) -> None:
        if isinstance(self._shown, ShownScreen):
            self._shown.hint(text)
        elif text:
            self._connection.send(FrameType.NOTICE, text.encode())

    def overlay(self, lines: str) -> None:
        if isinstance(self._shown, ShownScreen):
            self._shown.overlay(lines)
