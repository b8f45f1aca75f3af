"""The vocabulary of what happens to a run.

Whoever makes something happen emits an `Event`; subscribers (the event log behind `moat events`, and
what else wants to know) get each one in order, as it happens. An event says what was done, to what and
by whom. It never holds a secret: of input, only the length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a socket, as the kernel knows it (SO_PEERCRED)."""

    uid: int
    pid: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The run has taken a step of its life; see `runs.states`."""

    KIND: ClassVar[str] = "state_changed"
    before: str
    after: str
    cause: str
    exit_code: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SupervisorStarted:
    """A supervisor has started the run, or adopted it from one that is gone."""

    KIND: ClassVar[str] = "supervisor_started"
    pid: int
    version: str
    adopted: bool
    sessions: tuple[str, ...] = ()
    """The sessions that it found."""


@dataclass(frozen=True, slots=True)
class ViewerAttached:
    """A client has begun to watch a session."""

    KIND: ClassVar[str] = "viewer_attached"
    session: str
    peer: Peer
    tty: str | None
    """The path of the viewer's terminal, where it has passed one."""
    read_only: bool


@dataclass(frozen=True, slots=True)
class ViewerDetached:
    """A client has ceased to watch a session."""

    KIND: ClassVar[str] = "viewer_detached"
    session: str
    peer: Peer
    reason: str
    """`detached`, `dismissed` (by `moat detach`), `gone` (it died) or `ended` (with the session)."""


@dataclass(frozen=True, slots=True)
class ExecStarted:
    """A further command has begun in the sandbox (`moat exec`)."""

    KIND: ClassVar[str] = "exec_started"
    session: str
    command: tuple[str, ...]
    peer: Peer


@dataclass(frozen=True, slots=True)
class ExecEnded:
    """A further command is over; without an exit code it never began, or nobody saw its end."""

    KIND: ClassVar[str] = "exec_ended"
    session: str
    exit_code: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class InputSent:
    """A program has taken input that `moat send` gave it."""

    KIND: ClassVar[str] = "input_sent"
    session: str
    size: int
    """Bytes."""
    peer: Peer


@dataclass(frozen=True, slots=True)
class SignalSent:
    """A user has sent a signal, stopped the run or killed it."""

    KIND: ClassVar[str] = "signal_sent"
    session: str
    action: str
    """`signal`, `stop` or `kill`."""
    signal: str | None
    peer: Peer


@dataclass(frozen=True, slots=True)
class PolicyAmended:
    """A user has allowed or denied something from now on."""

    KIND: ClassVar[str] = "policy_amended"
    verdict: str
    rule: str
    answered: int
    """The number of waiting requests that this has decided."""
    peer: Peer


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """Requests to a host wait for the user (policy `ask`)."""

    KIND: ClassVar[str] = "question_asked"
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class QuestionClosed:
    """No request to a host waits for the user any more: answered, timed out or withdrawn."""

    KIND: ClassVar[str] = "question_closed"
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Denied:
    """The network has refused something; like ones that follow soon are counted in one event."""

    KIND: ClassVar[str] = "denied"
    scheme: str
    host: str
    port: int
    rule: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class TrafficDropped:
    """The record of the network was full: its oldest entries were dropped, and their sums kept."""

    KIND: ClassVar[str] = "traffic_dropped"
    entries: int
    since: float
    """When the first and the last of them began, in seconds since the epoch."""
    until: float


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something that the run left for a program of the host to obey was put aside or disarmed."""

    KIND: ClassVar[str] = "quarantined"
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """The run left something that a program of the host obeys, and that was not put aside."""

    KIND: ClassVar[str] = "left_behind"
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something does not work as it should; an empty `detail` says that it does again."""

    KIND: ClassVar[str] = "fault"
    part: str
    """`disk`, `state`, `network` or `sandbox`."""
    detail: str


Event = (
    StateChanged
    | SupervisorStarted
    | ViewerAttached
    | ViewerDetached
    | ExecStarted
    | ExecEnded
    | InputSent
    | SignalSent
    | PolicyAmended
    | QuestionAsked
    | QuestionClosed
    | Denied
    | TrafficDropped
    | Quarantined
    | LeftBehind
    | Fault
)

Emit = Callable[[Event], None]
"""The function through which a part of the supervisor reports an event."""


class Subscriber(Protocol):
    """A receiver of events. It must not block, nor raise."""

    def __call__(self, at: float, event: Event, /) -> None:
        """`at`: seconds since the epoch."""
        ...


class Stream:
    """The one place through which a run's events pass."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds since the epoch."""
        self._clock = clock
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def emit(self, event: Event) -> None:
        """Give the event to every subscriber, with the same time."""
        at = self._clock()
        for subscriber in self._subscribers:
            subscriber(at, event)


def as_json(at: float, event: Event) -> dict[str, Any]:
    """Return the public shape of an event, as `moat events --json` prints it.

    The time is RFC 3339 in UTC, with milliseconds.
    """
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    content: dict[str, Any] = {"time": time.replace("+00:00", "Z"), "event": event.KIND}
    for field in fields(event):
        value = getattr(event, field.name)
        content[field.name] = (
            {"uid": value.uid, "pid": value.pid} if isinstance(value, Peer) else value
        )
    return content
