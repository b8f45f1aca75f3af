"""The ssh agent of a run: the socket at which its commands ask for signatures.

What is signed is decided by `moat.ssh`. The listening socket belongs to the engine, and outlives this
supervisor: in between, clients wait in its backlog.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from moat.errors import MoatError
from moat.events import Peer, SSHKeyUsed
from moat.platform import sockets
from moat.spec.grants import SSH_AGENT
from moat.ssh import signatures
from moat.ssh.agent import FAILURE, AgentConnection, Refused, Signing, signed
from moat.ssh.encoding import Messages, string
from moat.supervisor.denials import Denials
from moat.supervisor.ssh_sessions import SSHSessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.engines.engine import Engine
    from moat.ssh.agent import Identity
    from moat.supervisor.context import RunContext

MAX_CLIENTS: Final = 64
"""Clients that are served at a time; further ones wait until one of them leaves."""
_MAX_SESSIONS: Final = 1024
"""Sessions that are remembered, so that each is recorded once."""
_READ_SIZE: Final = 64 * 1024


class Keys(Protocol):
    """The run's granted keys. The calls block, and are made in a thread."""

    def identities(self) -> Sequence[Identity]:
        """Return what is granted now."""
        ...

    def sign(self, signing: Signing) -> bytes:
        """Return a signature in the protocol's form. Raises `MoatError`."""
        ...


class SSHAgent:
    """Serves the clients in the sandbox, and records what is signed and refused."""

    def __init__(self, run: RunContext, keys: Keys) -> None:
        self.sessions = SSHSessions()
        self._run = run
        self._keys = keys
        self._denials = Denials(run)
        self._listener: socket.socket | None = None
        self._clients = 0
        self._recorded: OrderedDict[bytes, None] = OrderedDict()
        # Threads of its own, so that a client that asks without end hinders nothing else.
        self._threads = ThreadPoolExecutor(4, "ssh-agent")

    async def open(self, engine: Engine) -> None:
        """Serve from now on. Raises `EngineError`."""
        self._listener = socket.socket(fileno=await engine.keep_service(SSH_AGENT))
        self._listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        self._denials.flush()
        if self._listener is not None:
            self._run.loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- clients ---

    def _listen(self) -> None:
        if self._listener is not None and self._clients < MAX_CLIENTS:
            self._run.loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # it has left meanwhile
        client.setblocking(False)
        self._clients += 1
        if self._clients >= MAX_CLIENTS:
            self._run.loop.remove_reader(listener)
        self._run.tasks.start(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        pid, uid = sockets.peer(client)
        try:
            with client:
                await self._converse(client, Peer(uid, pid))
        except ConnectionError:
            pass  # it left without waiting for an answer, which is its right
        finally:
            self._clients -= 1
            self._listen()

    async def _converse(self, client: socket.socket, peer: Peer) -> None:
        loop, messages, connection = self._run.loop, Messages(), AgentConnection(self.sessions)
        while data := await loop.sock_recv(client, _READ_SIZE):
            try:
                complete = messages.feed(data)
            except ValueError as exc:
                self._refused(Refused("protocol", str(exc)))
                return
            for message in complete:
                answer = await self._answer(connection, message, peer)
                await loop.sock_sendall(client, string(answer))

    async def _answer(self, connection: AgentConnection, message: bytes, peer: Peer) -> bytes:
        granted = await self._run.loop.run_in_executor(self._threads, self._keys.identities)
        answer = connection.handle(message, granted)
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, Refused):
            self._refused(answer)
            return FAILURE
        return await self._sign(answer, peer)

    async def _sign(self, signing: Signing, peer: Peer) -> bytes:
        try:
            signature = await self._run.loop.run_in_executor(
                self._threads, self._keys.sign, signing
            )
        except MoatError as exc:
            self._refused(Refused("grants", exc.summary, signing.identity.address.place))
            return FAILURE
        self._record(signing, peer)
        return signed(signature)

    # --- the record ---

    def _record(self, signing: Signing, peer: Peer) -> None:
        """Record a session that is authenticated; a client may ask for its signature many times."""
        if signing.data in self._recorded:
            return
        self._recorded[signing.data] = None
        if len(self._recorded) > _MAX_SESSIONS:
            self._recorded.popitem(last=False)
        identity = signing.identity
        key = signatures.fingerprint(identity.key)
        host = identity.address.place
        self._run.emit(SSHKeyUsed(identity.grant, host, signing.user, key, peer))

    def _refused(self, refused: Refused) -> None:
        host = refused.host or "unknown host"
        self._denials.add("ssh-agent", host, 0, refused.rule, refused.reason)
