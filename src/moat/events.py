"""The vocabulary of what happens to a run.

Whoever makes something happen emits an `Event`; subscribers (the event log behind `moat events`, and
what else wants to know) get each one in order, as it happens. An event says what was done, to what and
by whom. It never holds a secret: of input, only the length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


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
class WaitingChanged:
    """The run's command waits for its user, or for something else than before, or no more."""

    KIND: ClassVar[str] = "waiting_changed"
    waits_for: str
    """`permission`, `question`, `error`, `done` or `attention`; empty: it waits no more."""


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
class LimitUsedUp:
    """The run has used up one of its limits."""

    KIND: ClassVar[str] = "limit_used_up"
    limit: str
    """`requests`, `bytes_out`, `tokens` or `cost`."""
    amount: float
    """The limit itself; a cost is in US dollars."""
    on_limit: str
    """The consequence: `ask`, `deny` or `stop`."""


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """A user has changed a limit of the run."""

    KIND: ClassVar[str] = "limit_changed"
    limit: str
    amount: float | None
    """`None`: there is none any more."""
    peer: Peer


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """A language model has answered; where that happens very often, several answers are one event."""

    KIND: ClassVar[str] = "model_used"
    host: str
    provider: str
    model: str
    """Empty where nobody has named it, and for the others where there are too many different ones."""
    requests: int
    tokens: int
    """All that were consumed, the estimated ones too."""
    output_tokens: int
    estimated_tokens: int
    cost: float | None
    """US dollars; `None` for a model without a price."""


@dataclass(frozen=True, slots=True)
class CredentialUsed:
    """A granted credential goes to a server, for the first time since this supervisor began."""

    KIND: ClassVar[str] = "credential_used"
    credential: str
    """The grant, as users write it."""
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SecretsResolved:
    """A command of the run is about to get secrets as variables."""

    KIND: ClassVar[str] = "secrets_resolved"
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CredentialEchoed:
    """A server has sent a credential back that it got. The sandbox doesn't have it: it was masked."""

    KIND: ClassVar[str] = "credential_echoed"
    credential: str
    """The grant, as users write it."""
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SSHKeyUsed:
    """A granted ssh key has authenticated a session; the same session once more is no event."""

    KIND: ClassVar[str] = "ssh_key_used"
    grant: str
    host: str
    user: str
    key: str
    """The fingerprint."""
    peer: Peer
    """The process of the sandbox that has asked for it, as this machine numbers it."""


@dataclass(frozen=True, slots=True)
class PortPublished:
    """A port of the host leads to a server in the sandbox from now on."""

    KIND: ClassVar[str] = "port_published"
    name: str
    port: int
    """The port in the sandbox."""
    address: str
    """The address of the host; where there are two of the loopback, that of IPv4."""
    host_port: int


@dataclass(frozen=True, slots=True)
class PortConnected:
    """Somebody has come to a published port; like ones that follow soon are counted in one event."""

    KIND: ClassVar[str] = "port_connected"
    name: str
    address: str
    """The address of the client, without its port."""
    uid: int | None
    """The user, where the port is for the run's own user alone."""
    error: str
    """The reason why no server in the sandbox got the connection; empty where one did."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class ServiceChanged:
    """A service was started, is ready, or has ended while its run goes on; nobody starts it again."""

    KIND: ClassVar[str] = "service_changed"
    name: str
    state: str
    """`started`, `ready` or `ended`."""
    detail: str
    """The image, the port, or the reason of the end."""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class TrafficDropped:
    """The record of the network was full: its oldest entries were dropped, and their sums kept."""

    KIND: ClassVar[str] = "traffic_dropped"
    entries: int
    since: float
    """Times at which the first and the last of the entries began, in seconds since the epoch."""
    until: float


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The state of the workspace was recorded."""

    KIND: ClassVar[str] = "snapshot_taken"
    snapshot: int
    reason: str
    """`asked`, `restore` (before one), or what makes Moat take one: `detach`, `turn`, `end`."""
    label: str
    changed: int
    """The number of paths that aren't what they were in the snapshot before it."""
    unkept: int
    """The number of changed files whose content isn't kept: no room, or too large."""
    digest: str
    """The SHA-256 of its record, which has that of each file."""
    peer: Peer | None = None
    """The process that has asked for it."""


@dataclass(frozen=True, slots=True)
class RestoreBegun:
    """A user is about to bring the workspace back to a snapshot, while the run is at work in it."""

    KIND: ClassVar[str] = "restore_begun"
    snapshot: str
    """The number of the snapshot, or `start`."""
    paths: tuple[str, ...]
    """The paths that it is limited to; empty: the whole workspace."""
    peer: Peer


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
    """`disk`, `state`, `network`, `sandbox`, `hook`, `snapshot`, `service`, `audit` or `signature` (of
    the audit log)."""
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
    | WaitingChanged
    | Denied
    | LimitUsedUp
    | LimitChanged
    | ModelUsed
    | SecretsResolved
    | CredentialUsed
    | CredentialEchoed
    | SSHKeyUsed
    | PortPublished
    | PortConnected
    | ServiceChanged
    | TrafficDropped
    | SnapshotTaken
    | RestoreBegun
    | Quarantined
    | LeftBehind
    | Fault
)

Emit = Callable[[Event], None]
"""The function through which a part of the supervisor reports an event."""
