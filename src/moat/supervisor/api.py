"""What clients ask a supervisor: HTTP/1.1 on the run's unix socket, JSON both ways.

    GET  /v1/version
    GET  /v1/run[?until=started|ended]         the run, as `moat inspect` shows it
    GET  /v1/screen?format=text|json|html      what a TTY run shows now
    GET  /v1/wait?for=idle&seconds=N | exit | output&after=N  [&timeout=N]
    POST /v1/stop {signal, timeout}            returns when the run has ended
    POST /v1/kill | detach | signal {signal} | send {data} | exec {...}
    GET  /v1/policy                            the policy in force, and who waits for an answer
    POST /v1/policy {verdict, rule, always}    allows or denies, from now on
    GET  /v1/attach, Upgrade: moat-attach/1    frames from then on

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
from typing import TYPE_CHECKING, Any

from moat.egress.policy.engine import Verdict
from moat.engines.bubblewrap.engine import Execution
from moat.errors import MoatError, RunNotActiveError, UsageError
from moat.platform import sockets
from moat.runs.states import State
from moat.spec import TerminalSize
from moat.supervisor.attached import AttachedClient
from moat.version import __version__
from moat.wire import http
from moat.wire.messages import MAIN_SESSION, UPGRADE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moat.session.session import Session
    from moat.supervisor.supervisor import Supervisor

log = logging.getLogger(__name__)

Query = dict[str, str]
Body = dict[str, Any]


async def serve(supervisor: Supervisor, listener: socket.socket) -> asyncio.Server:
    api = API(supervisor)
    return await asyncio.start_unix_server(api.connected, sock=listener, limit=http.MAX_HEAD)


class API:
    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._routes: dict[tuple[str, str], Callable[[Query, Body], Awaitable[Any]]] = {
            ("GET", "/v1/version"): self._version,
            ("GET", "/v1/run"): self._run,
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
        }

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection, and never lets an error out of it."""
        try:
            sock: socket.socket = writer.get_extra_info("socket")
            _pid, uid = sockets.peer(sock)
            if uid not in (os.geteuid(), 0):
                log.warning("refused a connection of uid %d", uid)
                return
            request = http.decode_request(await reader.readuntil(b"\r\n\r\n"))
            if request.path == "/v1/attach" and request.headers.get("upgrade") == UPGRADE:
                self._attach(sock)
                return
            with self._supervisor.audience.answering():
                body = await reader.readexactly(request.content_length)
                writer.write(await self._answer(request, body))
                await writer.drain()
        except (http.HTTPError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            log.info("malformed request: %s", exc)
        except ConnectionError as exc:
            log.info("a client left: %s", exc)
        finally:
            writer.close()

    def _attach(self, sock: socket.socket) -> None:
        # A descriptor of our own: from here on it is read with recvmsg, for the terminal that may
        # come beside a frame, which asyncio's streams can't do. The client sends nothing before
        # it has seen the 101, so the stream holds no byte of it.
        own = socket.socket(fileno=os.dup(sock.fileno()))
        own.send(http.encode_upgrade(UPGRADE))
        AttachedClient(self._supervisor, own)

    async def _answer(self, request: http.Request, body: bytes) -> bytes:
        try:
            route = self._routes.get((request.method, request.path))
            if route is None:
                return _failed(404, f"no {request.method} {request.path} here")
            if request.method == "POST":
                await self._supervisor.begun.wait()
            answer = await route(request.query, json.loads(body) if body else {})
        except MoatError as error:
            return _failed(409, error.summary, error.hint, error.code)
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            return _failed(400, f"{request.method} {request.path}: bad request: {exc!r}")
        if isinstance(answer, str):
            return http.encode_response(200, answer.encode(), "text/plain; charset=utf-8")
        return http.encode_response(200, json.dumps(answer).encode())

    # --- asking ---

    async def _version(self, _query: Query, _body: Body) -> Body:
        return {"version": __version__, "attach": UPGRADE}

    async def _run(self, query: Query, _body: Body) -> Body:
        supervisor = self._supervisor
        match query.get("until"):
            case "started":
                begun = {State.CREATED, State.STARTING}
                await supervisor.audience.until(lambda: supervisor.state.now not in begun)
            case "ended":
                await supervisor.audience.until(lambda: supervisor.state.ended)
            case _:
                pass
        if supervisor.failure is not None:
            failure = supervisor.failure
            raise MoatError(failure.summary, failure.hint)
        sessions = {
            name: {"tty": session.tty, "exit_code": session.exit_code, "ended": session.drained}
            for name, session in supervisor.sessions.items()
        }
        return supervisor.state.as_json() | {"sessions": sessions}

    async def _screen(self, query: Query, _body: Body) -> object:
        await self._supervisor.begun.wait()
        session = self._session(query.get("session", MAIN_SESSION))
        if session.screen is None:
            raise UsageError(
                "the run has no screen: it was started without a TTY", "Read it: moat logs"
            )
        match query.get("format", "text"):
            case "json":
                return session.screen.as_json()
            case "html":
                return session.screen.html()
            case "contents":
                return session.screen.contents()
            case _:
                return session.screen.text()

    async def _wait(self, query: Query, _body: Body) -> Body:
        timeout = float(query["timeout"]) if "timeout" in query else None
        try:
            happened = await asyncio.wait_for(self._wait_for(query), timeout)
        except TimeoutError:
            happened = "timeout"
        main = self._supervisor.sessions.get(MAIN_SESSION)
        return {
            "happened": happened,
            "outputs": self._supervisor.outputs,
            "state": str(self._supervisor.state.now),
            "exit_code": None if main is None else main.exit_code,
        }

    async def _wait_for(self, query: Query) -> str:
        supervisor = self._supervisor
        match query["for"]:
            case "exit":
                await supervisor.audience.until(lambda: supervisor.state.ended)
                await supervisor.state.saved.wait()
            case "output":
                after = int(query["after"])
                await supervisor.audience.until(
                    lambda: supervisor.outputs != after or supervisor.state.ended
                )
            case "idle":
                await self._idle(float(query["seconds"]))
            case other:
                raise ValueError(f"for={other}")
        return "exit" if supervisor.state.ended else query["for"]

    async def _idle(self, seconds: float) -> None:
        """Returns when there was no output for that long, or the run has ended."""
        supervisor = self._supervisor
        while not supervisor.state.ended:
            seen = supervisor.outputs
            more = supervisor.audience.until(
                lambda seen=seen: supervisor.outputs != seen or supervisor.state.ended
            )
            try:
                await asyncio.wait_for(more, seconds)
            except TimeoutError:
                return

    # --- acting ---

    async def _stop(self, _query: Query, body: Body) -> Body:
        await self._supervisor.ending.stop(body.get("signal"), body.get("timeout"))
        return self._supervisor.state.as_json()

    async def _kill(self, _query: Query, _body: Body) -> Body:
        await self._supervisor.ending.kill()
        return self._supervisor.state.as_json()

    async def _signal(self, _query: Query, body: Body) -> Body:
        number = signal.Signals(body["signal"])
        await self._supervisor.engine.signal(body.get("session", MAIN_SESSION), number)
        return {}

    async def _detach(self, _query: Query, _body: Body) -> Body:
        clients = tuple(self._supervisor.audience.clients)
        for client in clients:
            client.dismiss("detached by moat detach")
        return {"detached": len(clients)}

    async def _send(self, _query: Query, body: Body) -> Body:
        """Returns when the program's terminal or pipe has taken all of it."""
        session = self._session(body.get("session", MAIN_SESSION))
        if not self._supervisor.takes_input(session):
            raise RunNotActiveError("the run takes no input", "Start it with: moat run -i")
        data = base64.b64decode(body["data"], validate=True)
        left = len(data)

        def taken(count: int) -> None:
            nonlocal left
            left -= count
            self._supervisor.audience.notify()

        if data:
            session.write(data, taken)
        await self._supervisor.audience.until(lambda: left <= 0 or session.drained)
        return {"sent": len(data) - left}

    async def _exec(self, _query: Query, body: Body) -> Body:
        what = Execution(
            command=tuple(body["command"]),
            env=body.get("env") or {},
            workdir=body.get("workdir") or self._supervisor.spec.workdir,
            tty=bool(body.get("tty")),
            stdin=bool(body.get("interactive")),
            size=TerminalSize(body.get("columns") or 80, body.get("rows") or 24),
        )
        return {"session": await self._supervisor.executing.start(what)}

    async def _policy(self, _query: Query, _body: Body) -> Body:
        await self._supervisor.begun.wait()
        return self._supervisor.network.gateway.decisions.as_json()

    async def _amend_policy(self, _query: Query, body: Body) -> Body:
        gateway = self._supervisor.network.gateway
        answered = await gateway.amend(Verdict(body["verdict"]), body["rule"])
        return {"rule": body["rule"], "answered": answered, "missed": gateway.missed_ports}

    def _session(self, name: str) -> Session:
        session = self._supervisor.sessions.get(name)
        if session is None:
            raise RunNotActiveError(f"there is no session {name}")
        return session


def _failed(status: int, summary: str, hint: str | None = None, code: str = "bad_request") -> bytes:
    failure = {"summary": summary, "hint": hint, "code": code}
    return http.encode_response(status, json.dumps(failure).encode())
