"""The API of a supervisor: HTTP/1.1 on the run's unix socket, JSON both ways.

    GET  /v1/version
    GET  /v1/run[?until=started|ended]         the run, as `moat inspect` shows it
    GET  /metrics                              its metrics, as Prometheus reads them
    GET  /v1/metrics                           the same as JSON, for `moat metrics`
    GET  /v1/screen?format=text|json|html|last what a TTY run shows now; `last`: its last line
    GET  /v1/wait?for=idle&seconds=N | exit | input | output&after=N  [&timeout=N]
    POST /v1/stop {signal, timeout}            returns when the run has ended
    POST /v1/kill | detach | signal {signal} | send {data} | exec {...}
    GET  /v1/policy                            the policy in force, and who waits for an answer
    POST /v1/policy {verdict, rule, always}    allows or denies, from now on
    GET  /v1/limits                            the limits in force, and what was used up
    POST /v1/limits {tokens, ...}              changes some; null: no limit
    GET  /v1/questions                         what waits for the user's answer
    POST /v1/answer {name, allow}              answers one of them
    POST /v1/snapshot {label}                  takes a snapshot of the workspace
    POST /v1/restore {snapshot, paths}         the same, before files are restored
    GET  /v1/attach, Upgrade: moat-attach/1    frames from then on

Where a request has a `session`, it is about that one; without it, about the run's own command, and
`detach` about all.

A connection serves one request. Only the user who owns the run (and root) gets an answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moat.egress.policy.decision import Verdict
from moat.engines.engine import Execution
from moat.errors import MoatError, RunNotActiveError, UsageError
from moat.events import InputSent, Peer, SignalSent
from moat.paths import MAIN_SESSION
from moat.platform import sockets
from moat.runs.states import State
from moat.spec import TerminalSize
from moat.supervisor import answers
from moat.supervisor.attached import AttachedClient
from moat.supervisor.run_commands import RunCommands
from moat.supervisor.waits import Waits
from moat.version import __version__
from moat.wire import http, metrics
from moat.wire.messages import LEVEL, UPGRADE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moat.supervisor.run import Supervisor

log = logging.getLogger(__name__)

Answer = dict[str, Any]

_RECORDED_FIRST: Final = {
    ("POST", f"/v1/{each}") for each in ("send", "exec", "policy", "answer", "snapshot", "restore")
}
"""Calls refused while they can't be put into the audit log; a run can be stopped all the same."""

# Who sends input to a program that doesn't read is told so after this time without any progress.
INPUT_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that isn't JSON."""

    text: str
    kind: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and who makes it."""

    peer: Peer
    query: dict[str, str]
    body: dict[str, Any]


async def serve(supervisor: Supervisor, listener: socket.socket) -> asyncio.Server:
    api = API(supervisor)
    return await asyncio.start_unix_server(api.connected, sock=listener, limit=http.MAX_HEAD)


class API:
    """The routes, each a method that gets a `Call` and returns what is answered."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._commands = RunCommands(supervisor)
        self._waits = Waits(supervisor)
        self._routes: dict[tuple[str, str], Callable[[Call], Awaitable[object]]] = {
            ("GET", "/v1/version"): self._version,
            ("GET", "/v1/run"): self._run,
            ("GET", "/v1/metrics"): self._metrics,
            ("GET", "/metrics"): self._exposition,
            ("GET", "/v1/screen"): self._screen,
            ("GET", "/v1/wait"): self._wait,
            ("POST", "/v1/stop"): self._stop,
            ("POST", "/v1/kill"): self._kill,
            ("POST", "/v1/signal"): self._signal,
            ("POST", "/v1/detach"): self._detach,
            ("POST", "/v1/send"): self._send,
            ("POST", "/v1/exec"): self._exec,
            ("GET", "/v1/policy"): self._policy,
            ("POST", "/v1/policy"): self._amend_policy,
            ("GET", "/v1/limits"): self._limits,
            ("POST", "/v1/limits"): self._limits,
            ("GET", "/v1/questions"): self._questions,
            ("POST", "/v1/answer"): self._answer_question,
            ("POST", "/v1/snapshot"): self._snapshot,
            ("POST", "/v1/restore"): self._restore,
        }

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, and let no error out of it."""
        try:
            sock: socket.socket = writer.get_extra_info("socket")
            pid, uid = sockets.peer(sock)
            if uid not in (os.geteuid(), 0):
                log.warning("refused a connection of uid %d", uid)
                return
            request = http.decode_request(await reader.readuntil(b"\r\n\r\n"))
            if request.path == "/v1/attach" and request.headers.get("upgrade") == UPGRADE:
                self._attach(sock)
                return
            with self._supervisor.viewers.answering():
                body = await reader.readexactly(request.content_length)
                writer.write(await self._answer(request, body, Peer(uid, pid)))
                await writer.drain()
        except (http.HTTPError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            log.info("malformed request: %s", exc)
        except ConnectionError as exc:
            log.info("a client left: %s", exc)
        finally:
            writer.close()

    def _attach(self, sock: socket.socket) -> None:
        # A descriptor of its own: from here on it is read with recvmsg, for the terminal that may
        # come beside a frame, which asyncio's streams can't do. The client sends nothing before
        # it has seen the 101, so the stream holds no byte of it.
        own = socket.socket(fileno=os.dup(sock.fileno()))
        own.send(http.encode_upgrade(UPGRADE, LEVEL))
        AttachedClient(self._supervisor, own, self._commands)

    async def _answer(self, request: http.Request, body: bytes, peer: Peer) -> bytes:
        try:
            route = self._routes.get((request.method, request.path))
            if route is None:
                return _failed(404, f"no {request.method} {request.path} here")
            if request.method == "POST":
                await self._waits.ready_to_act()
            if (request.method, request.path) in _RECORDED_FIRST:
                self._supervisor.audit.check()
            answer = await route(Call(peer, request.query, json.loads(body) if body else {}))
        except MoatError as error:
            return _failed(409, error.summary, error.hint, error.code)
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            return _failed(400, f"{request.method} {request.path}: bad request: {exc!r}")
        if isinstance(answer, str):
            answer = Text(answer)
        if isinstance(answer, Text):
            return http.encode_response(200, answer.text.encode(), answer.kind)
        return http.encode_response(200, json.dumps(answer).encode())

    # --- asking ---

    async def _version(self, _call: Call) -> Answer:
        return {"version": __version__, "attach": UPGRADE}

    async def _run(self, call: Call) -> Answer:
        state = self._supervisor.state
        match call.query.get("until"):
            case "started":
                await self._waits.until(lambda: state.now not in {State.CREATED, State.STARTING})
            case "ended":
                await self._waits.until(lambda: state.ended)
            case _:
                pass
        self._waits.raise_failure()
        sessions = {
            session.name: {
                "tty": session.tty,
                "viewers": len(session.viewers),
                "exit_code": session.exit_code,
                "ended": session.drained,
            }
            for session in self._supervisor.sessions
        }
        services = self._supervisor.services
        return state.as_json() | {
            "sessions": sessions,
            "services": [] if services is None else services.as_json(),
        }

    async def _metrics(self, _call: Call) -> Answer:
        return {"samples": metrics.as_json(self._samples())}

    async def _exposition(self, _call: Call) -> object:
        return Text(metrics.text(self._samples()), metrics.CONTENT_TYPE)

    def _samples(self) -> list[metrics.Sample]:
        run = self._supervisor
        return run.metrics.samples(run.sessions, run.waiting.now, run.egress.budget.spent)

    async def _screen(self, call: Call) -> object:
        await self._waits.ready_to_act()
        session = self._supervisor.sessions.named(call.query.get("session", MAIN_SESSION))
        if session.screen is None:
            raise UsageError(
                "the run has no screen: it was started without a TTY", "Read it: moat logs"
            )
        match call.query.get("format", "text"):
            case "json":
                return session.screen.as_json()
            case "html":
                return session.screen.html()
            case "last":
                return "".join(session.screen.last_lines(1))
            case "contents":
                return session.screen.contents()
            case _:
                return session.screen.text()

    async def _wait(self, call: Call) -> Answer:
        timeout = float(call.query["timeout"]) if "timeout" in call.query else None
        try:
            happened = await asyncio.wait_for(self._waits.wait(call.query), timeout)
        except TimeoutError:
            happened = "timeout"
        session = self._supervisor.sessions.get(call.query.get("session", MAIN_SESSION))
        return {
            "happened": happened,
            "outputs": 0 if session is None else session.outputs,
            "state": str(self._supervisor.state.now),
            "waits_for": self._supervisor.waiting.now,
            "exit_code": None if session is None else session.exit_code,
        }

    # --- acting ---

    async def _stop(self, call: Call) -> Answer:
        number = call.body.get("signal")
        known = None if number is None else signal.Signals(number)
        await self._commands.stop(call.peer, known, call.body.get("timeout"))
        return self._supervisor.state.as_json()

    async def _kill(self, call: Call) -> Answer:
        name = call.body.get("session", MAIN_SESSION)
        self._emit_signal("kill", name, None, call.peer)
        if name != MAIN_SESSION:
            session = self._supervisor.sessions.named(name)
            await self._supervisor.engine.kill(name)
            await self._waits.until(lambda: session.drained)
            return {}
        await self._supervisor.shutdown.kill()
        return self._supervisor.state.as_json()

    async def _signal(self, call: Call) -> Answer:
        number = signal.Signals(call.body["signal"])
        session = call.body.get("session", MAIN_SESSION)
        await self._supervisor.engine.signal(session, number)
        self._emit_signal("signal", session, number, call.peer)
        return {}

    def _emit_signal(self, action: str, session: str, number: int | None, peer: Peer) -> None:
        name = None if number is None else signal.Signals(number).name
        self._supervisor.emit(SignalSent(session, action, name, peer))

    async def _detach(self, call: Call) -> Answer:
        return {"detached": self._commands.detach(call.body.get("session"))}

    async def _send(self, call: Call) -> Answer:
        """Return when the program's terminal or pipe has taken all of the input, or takes no more."""
        session = self._supervisor.sessions.named(call.body.get("session", MAIN_SESSION))
        if not self._supervisor.takes_input(session):
            what = "run" if session.name == MAIN_SESSION else "exec"
            raise RunNotActiveError("the command takes no input", f"Start it with: moat {what} -i")
        data = base64.b64decode(call.body["data"], validate=True)
        self._supervisor.waiting.sent(session)
        left = len(data)

        def taken(count: int) -> None:
            nonlocal left
            left -= count
            self._supervisor.changes.notify()

        if data:
            session.write(data, taken)
        reads = True
        while reads and left > 0 and not session.drained:
            reads = await self._takes_more(lambda before=left: left < before or session.drained)
        sent = len(data) - left
        self._supervisor.emit(InputSent(session.name, sent, call.peer))
        if not reads:
            raise MoatError(
                f"the program reads no input: it has taken {sent} of {len(data)} bytes",
                "The rest waits for it, and is typed when it reads again",
            )
        return {"sent": sent}

    async def _takes_more(self, taken: Callable[[], bool]) -> bool:
        try:
            await asyncio.wait_for(self._waits.until(taken), INPUT_PATIENCE_S)
        except TimeoutError:
            return False
        return True

    async def _exec(self, call: Call) -> Answer:
        execution = Execution(
            command=tuple(call.body["command"]),
            env=call.body.get("env") or {},
            workdir=call.body.get("workdir") or self._supervisor.spec.workdir,
            tty=bool(call.body.get("tty")),
            stdin=bool(call.body.get("interactive")),
            size=TerminalSize(call.body.get("columns") or 80, call.body.get("rows") or 24),
        )
        return {"session": await self._commands.execute(execution, call.peer)}

    async def _policy(self, _call: Call) -> Answer:
        await self._waits.ready_to_act()
        return self._supervisor.egress.gateway.live_policy.as_json()

    async def _amend_policy(self, call: Call) -> Answer:
        verdict = Verdict(call.body["verdict"])
        return await self._commands.amend(verdict, call.body["rule"], call.peer)

    async def _limits(self, call: Call) -> Answer:
        await self._waits.ready_to_act()
        return self._commands.limits(call.body, call.peer)

    async def _questions(self, _call: Call) -> Answer:
        await self._waits.ready_to_act()
        return {"questions": answers.waiting(self._supervisor)}

    async def _answer_question(self, call: Call) -> Answer:
        name, allow = call.body["name"], call.body["allow"]
        return await self._commands.answer(name, call.peer, allow=allow)

    async def _snapshot(self, call: Call) -> Answer:
        label = str(call.body.get("label", ""))
        return await self._supervisor.snapshots.take_asked(label, call.peer)

    async def _restore(self, call: Call) -> Answer:
        snapshot, paths = str(call.body["snapshot"]), list(map(str, call.body["paths"]))
        return await self._supervisor.snapshots.take_before_restore(snapshot, paths, call.peer)


def _failed(status: int, summary: str, hint: str | None = None, code: str = "bad_request") -> bytes:
    failure = {"summary": summary, "hint": hint, "code": code}
    return http.encode_response(status, json.dumps(failure).encode())
