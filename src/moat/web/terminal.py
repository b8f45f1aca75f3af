"""One viewer of a run's terminal, in a browser.

It attaches as `moat attach` does from a terminal that is reached over frames: the supervisor paints,
and has filtered what it paints. Keys go through the same machine, so that what the user has typed
leads, what the terminal reports by itself doesn't, and the escape prefix means what it means elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from moat.client.connect.channel import Channel, ChannelLostError, raise_failure
from moat.client.connect.launch import is_supervised
from moat.client.connect.restart_limit import RestartLimit
from moat.client.connect.supervisor_client import SupervisorClient, SupervisorLeftError
from moat.config import settings as user_settings
from moat.errors import MoatError, RunNotActiveError
from moat.keyboard.input import Input
from moat.keyboard.key_forms import is_sent_by_terminal
from moat.keyboard.key_names import parse_escape_prefix
from moat.keyboard.keys import Command, KeyMachine, Send
from moat.session.terminal.filter import OutputFilter, OutputPolicy
from moat.session.terminal.reset import CANCEL, reset_sequence
from moat.web import ended, messages
from moat.web.messages import Drawn, Resize
from moat.web.tasks import until_first
from moat.web.threads import in_store
from moat.web.window import OutputWindow
from moat.wire import frames
from moat.wire.frames import FrameType
from moat.wire.messages import NO_SESSION, UPGRADE, Exited, Hello, Welcome, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

    from moat.config.settings import Settings
    from moat.keyboard.input import Action
    from moat.runs.store import Run, Store
    from moat.web.messages import OpenTerminal

_READ_BYTES: Final = 1 << 16
_SLACK_BYTES: Final = 8192
"""Keys that the machine has held back count late."""
_FOR_THE_PAGE: Final = {
    Command.DETACH: "leave",
    Command.ANSWER: "answer",
    Command.HELP: "help",
}
_ELSEWHERE: Final = {
    Command.STOP: "not in a browser: moat stop stops the run",
    Command.SAVE_SCREEN: "not in a browser: moat screen prints the screen",
}


class BrowserTerminal:
    """One terminal of a page, until the session ends or the page leaves."""

    def __init__(
        self, socket: ServerConnection, home: Path, asked: OpenTerminal, *, read_only: bool
    ) -> None:
        self._socket = socket
        self._home = home
        self._asked = asked
        self._may_type = not (read_only or asked.read_only)
        self._size = Resize(asked.columns, asked.rows, asked.width, asked.height)
        self._loop = asyncio.get_running_loop()
        self._window = OutputWindow()
        self._offsets = {FrameType.STDOUT: -1, FrameType.STDERR: -1}
        """Offsets of a run without a terminal up to which its output was sent."""
        self._filters: dict[int, OutputFilter] = {}
        self._channel: Channel | None = None
        """The connection to the supervisor, once it has welcomed us."""
        self._level = 0
        self._input: Input | None = None
        """`None` where nothing that is typed goes to the program."""
        self._timer: asyncio.TimerHandle | None = None
        self._early: list[bytes] = []
        """What was typed while no supervisor was there."""
        self._typed = 0
        """Bytes that were typed in all."""
        self._consumed = 0
        """How many of these the page knows to be consumed."""

    async def serve(self) -> None:
        """Show the session. Raise `MoatError`, and `ValueError` for nonsense from the page."""
        run, settings = await in_store(self._home, self._found)
        if self._may_type and run.interactive:
            self._input = _input(settings)
        try:
            await until_first(self._listen(), self._show(run, settings))
        finally:
            self._cancel_timer()

    def _found(self, store: Store) -> tuple[Run, Settings]:
        return store.find(self._asked.run), user_settings.load(self._home)

    # --- from the page ---

    async def _listen(self) -> None:
        while True:
            message = await self._socket.recv()
            if isinstance(message, bytes):
                await self._take(message)
                continue
            match messages.read(message):
                case Resize() as size:
                    self._size = size
                    self._send_size()
                case Drawn(count):
                    self._window.drawn(count)
                case other:
                    raise ValueError(f"a message {type(other).__name__} about a terminal")

    async def _take(self, data: bytes) -> None:
        """Take what was typed, for which the page has kept to the window."""
        if self._input is None:
            return
        self._typed += len(data)
        if self._outstanding + len(data) > frames.INPUT_WINDOW + _SLACK_BYTES:
            raise ValueError("the page types more than it may")
        if self._channel is None:
            self._early.append(data)
            return
        await self._act(self._input.feed(data, self._loop.time()))

    @property
    def _outstanding(self) -> int:
        """Number of bytes that were typed and that no program has taken."""
        early = sum(map(len, self._early))
        return early + (frames.INPUT_WINDOW - self._channel.window if self._channel else 0)

    async def _act(self, actions: Iterable[Action]) -> None:
        self._cancel_timer()
        for action in actions:
            match action:
                case Send(data):
                    by_itself = self._level > 0 and is_sent_by_terminal(data)
                    self._send(FrameType.REPORT if by_itself else FrameType.INPUT, data)
                case Command() as command if command in _FOR_THE_PAGE:
                    await self._tell("command", command=_FOR_THE_PAGE[command])
                case Command() as command if command in _ELSEWHERE and self._level > 0:
                    self._send(FrameType.HINT, _ELSEWHERE[command].encode())
                case _:
                    pass
        if self._input is not None and self._input.deadline is not None:
            self._timer = self._loop.call_at(self._input.deadline, self._expire)

    def _expire(self) -> None:
        """Send the keys that nothing has followed in time, of which none is a command."""
        self._timer = None
        if self._input is not None:
            for action in self._input.finish():
                if isinstance(action, Send):
                    self._send(FrameType.INPUT, action.data)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- to the supervisor ---

    def _send(self, kind: FrameType, payload: bytes = b"") -> None:
        channel = self._channel
        if channel is None:
            return
        if kind in {FrameType.INPUT, FrameType.REPORT}:
            channel.send_input(payload, kind)
        else:
            channel.send(kind, payload)
        self._flush(channel)

    def _flush(self, channel: Channel) -> None:
        channel.flush()
        if channel.wants_to_write:
            self._loop.add_writer(channel.sock, self._flush, channel)
        else:
            self._loop.remove_writer(channel.sock)

    def _send_size(self) -> None:
        size = self._size
        cells = (size.columns, size.rows)
        payload = (
            frames.SIZE_AND_PIXELS.pack(*cells, size.width, size.height)
            if self._level > 0
            else frames.SIZE.pack(*cells)
        )
        self._send(FrameType.RESIZE, payload)

    # --- what is shown ---

    async def _show(self, run: Run, settings: Settings) -> None:
        """Serve one supervisor after the other, until one ends as it should."""
        limit = await in_store(self._home, lambda store: RestartLimit(store, run))
        while True:
            try:
                channel = await in_store(
                    self._home, lambda store: _connected(store, run.id), _close
                )
                if channel is None:
                    break
                await self._view(channel, run, settings)
            except (ChannelLostError, SupervisorLeftError) as exc:
                limit.supervisor_died(exc)
                await self._output(CANCEL + reset_sequence(alternate=True))
            except RunNotActiveError:
                break
            except MoatError as error:
                if error.code != NO_SESSION:
                    raise
                break
            else:
                return
        await self._show_ended(run)

    async def _view(self, channel: Channel, run: Run, settings: Settings) -> None:
        """Show what one supervisor sends, until the session's end. Raise `ChannelLostError`."""
        with channel:
            try:
                channel.greet(self._hello(run, settings))
                while True:
                    await self._window.room()
                    data = await self._received(channel)
                    for kind, payload in channel.frames(data):
                        if await self._frame(channel, kind, payload, run):
                            return
                    await self._report_consumed()
            finally:
                self._channel = None
                self._loop.remove_writer(channel.sock)
                channel.send(FrameType.DETACH)  # it may be another end already

    async def _received(self, channel: Channel) -> bytes:
        try:
            data = await self._loop.sock_recv(channel.sock, _READ_BYTES)
        except ConnectionResetError as exc:
            raise ChannelLostError from exc
        if not data:
            raise ChannelLostError
        return data

    def _hello(self, run: Run, settings: Settings) -> Hello:
        size = self._size
        return Hello(
            columns=size.columns,
            rows=size.rows,
            terminal=run.tty,
            read_only=not self._may_type,
            stdout=self._offsets[FrameType.STDOUT],
            stderr=self._offsets[FrameType.STDERR],
            tail=settings.scrollback,
            width=size.width,
            height=size.height,
            status_row=settings.status_row,
        )

    async def _frame(self, channel: Channel, kind: int, payload: bytes, run: Run) -> bool:
        """Show a frame; return `True` for the last one. Raise `MoatError` where nothing can be shown."""
        match kind:
            case FrameType.WELCOME:
                await self._welcomed(channel, unpack(Welcome, payload), run)
            case FrameType.STDOUT | FrameType.STDERR if run.tty:
                await self._output(payload)
            case FrameType.STDOUT | FrameType.STDERR:
                self._offsets[FrameType(kind)] += len(payload)
                await self._output(self._filtered(kind, payload))
            case FrameType.NOTICE:
                await self._tell("notice", text=payload.decode(errors="replace"))
            case FrameType.EXITED:
                last = unpack(Exited, payload)
                await self._tell(
                    "exited", exit_code=last.exit_code, state=last.state, because=last.because
                )
                return True
            case FrameType.DETACHED:
                await self._tell("detached", reason=payload.decode(errors="replace"))
                return True
            case FrameType.FAILED:
                raise_failure(payload)
            case _:
                pass  # about a terminal that was passed, or from a newer supervisor
        return False

    async def _welcomed(self, channel: Channel, welcome: Welcome, run: Run) -> None:
        self._level = welcome.level
        if not run.tty:
            self._offsets = {
                FrameType.STDOUT: welcome.stdout,
                FrameType.STDERR: welcome.stderr,
            }
        self._channel = channel
        await self._tell("shown", typing=self._input is not None, live=True)
        self._send_size()  # it may have changed meanwhile
        early, self._early = self._early, []
        for each in early:
            if self._input is not None:
                await self._act(self._input.feed(each, self._loop.time()))

    def _filtered(self, kind: int, data: bytes) -> bytes:
        """Return output of a program without a terminal, which no supervisor has filtered."""
        if kind not in self._filters:
            self._filters[kind] = OutputFilter(OutputPolicy(notifications=False))
        return self._filters[kind].feed(data)

    async def _report_consumed(self) -> None:
        consumed = self._typed - self._outstanding
        if consumed - self._consumed >= frames.INPUT_WINDOW // 8:
            self._consumed = consumed
            await self._tell("consumed", bytes=consumed)

    async def _show_ended(self, run: Run) -> None:
        """Show the end of a session that is over, from its journal."""
        run, pieces, size = await in_store(self._home, lambda store: ended.output(store, run.id))
        await self._tell("shown", typing=False, live=False)
        if size is not None:
            await self._tell("size", columns=size.columns, rows=size.rows)
        for each in pieces:
            await self._window.room()
            await self._output(each)
        await self._tell(
            "exited", exit_code=run.exit_code, state=str(run.state), because=run.error or ""
        )

    async def _output(self, data: bytes) -> None:
        if data:
            self._window.sent(len(data))
            await self._socket.send(data)

    async def _tell(self, kind: str, **fields: Any) -> None:
        await self._socket.send(messages.write(kind, **fields))


def _connected(store: Store, run_id: str) -> Channel | None:
    """Return a connection to the run's supervisor; `None` where the run has ended."""
    folder = store.folder(run_id)
    if store.get(run_id).ended and not is_supervised(folder):
        return None
    return Channel(SupervisorClient(store.home, folder).upgrade("/v1/attach", UPGRADE).sock)


def _close(channel: Channel | None) -> None:
    if channel is not None:
        channel.close()


def _input(settings: Settings) -> Input:
    prefix = parse_escape_prefix(settings.escape_keys)
    return Input(KeyMachine(prefix, timeout=settings.prefix_timeout), takes_input=True)
