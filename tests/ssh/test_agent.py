"""What the agent of a run signs, and all that it doesn't."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.ssh.messages import LIST, Server, session_bind, sign, userauth

from moat.ssh import agent, signatures
from moat.ssh.agent import AgentConnection, Identity, Refused, Signing
from moat.ssh.encoding import Reader, string
from moat.ssh.host_address import HostAddress

SERVER = Server()
OTHER = Server()
KEY = signatures.public_blob(ed25519.Ed25519PrivateKey.generate())
GRANTED = Identity(
    grant="ssh:git.example",
    key=KEY,
    comment="work",
    address=HostAddress("git.example"),
    host_keys=frozenset({SERVER.host_key}),
)
PLACE = ("git.example", 22)


class Sessions(dict[tuple[bytes, bytes], tuple[str, int]]):
    """The sessions of the run's connections. Implements `agent.Sessions`."""

    def place(self, host_key: bytes, signature: bytes) -> tuple[str, int] | None:
        return self.get((host_key, signature))

    def connect(
        self, server: Server = SERVER, place: tuple[str, int] = PLACE
    ) -> tuple[bytes, bytes]:
        """Connect to a server at a place; return the session, and what binds a client to it."""
        session = server.session()
        self[server.host_key, server.proof(session)] = place
        return session, server.bind(session)


def _alone() -> AgentConnection:
    return AgentConnection(Sessions())


def _bound() -> tuple[AgentConnection, bytes]:
    """Return a connection that is bound to a session with the server, and the session."""
    sessions = Sessions()
    session, bind = sessions.connect()
    connection = AgentConnection(sessions)
    assert connection.handle(bind, [GRANTED]) == b"\x06"
    return connection, session


def _keys(answer: object) -> list[tuple[bytes, str]]:
    assert isinstance(answer, bytes)
    fields = Reader(answer)
    assert fields.byte() == 12
    keys = [(fields.string(), fields.text()) for _ in range(fields.uint32())]
    fields.end()
    return keys


def _why(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return answer.reason


def test_a_key_signs_for_its_host() -> None:
    """A request for authentication in the session that the client is bound to is signed."""
    connection, session = _bound()
    data = userauth(session, KEY)
    assert connection.handle(sign(KEY, data), [GRANTED]) == Signing(
        GRANTED, data, "ssh-ed25519", 0, "git"
    )


def test_a_key_signs_for_its_host_where_the_request_names_it() -> None:
    """The method by which clients name the server's key as well is signed, for that key alone."""
    connection, session = _bound()
    method = "publickey-hostbound-v00@openssh.com"
    data = userauth(session, KEY, method=method, host_key=SERVER.host_key)
    assert isinstance(connection.handle(sign(KEY, data), [GRANTED]), Signing)
    data = userauth(session, KEY, method=method, host_key=OTHER.host_key)
    assert "another server's key" in _why(connection.handle(sign(KEY, data), [GRANTED]))


@pytest.mark.parametrize(
    ("key", "algorithm", "flags"),
    [
        (rsa.generate_private_key(65537, 2048), "rsa-sha2-512", signatures.RSA_SHA2_512),
        (rsa.generate_private_key(65537, 2048), "rsa-sha2-256", signatures.RSA_SHA2_256),
        (ec.generate_private_key(ec.SECP256R1()), "ecdsa-sha2-nistp256", 0),
    ],
)
def test_servers_and_keys_of_every_kind(
    key: signatures.PrivateKey, algorithm: str, flags: int
) -> None:
    """Host keys bind, and granted keys sign, whatever kind they are of."""
    blob = signatures.public_blob(key)
    server = Server(key, algorithm)
    granted = replace(GRANTED, key=blob, host_keys=frozenset({server.host_key}))
    sessions = Sessions()
    session, bind = sessions.connect(server)
    connection = AgentConnection(sessions)
    assert connection.handle(bind, [granted]) == b"\x06"
    data = userauth(session, blob, algorithm=algorithm)
    signing = connection.handle(sign(blob, data, flags), [granted])
    assert isinstance(signing, Signing)
    assert signing.algorithm == algorithm


def test_nothing_is_signed_before_the_server_is_known() -> None:
    """A client that hasn't shown which server it talks to gets no signature."""
    connection = _alone()
    data = userauth(SERVER.session(), KEY)
    assert "session-bind" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_nothing_is_signed_for_another_server() -> None:
    """A session with a server whose key isn't pinned gets no signature, and sees no key."""
    sessions = Sessions()
    session, bind = sessions.connect(OTHER)
    connection = AgentConnection(sessions)
    assert "no key is granted" in _why(connection.handle(bind, [GRANTED]))
    assert _keys(connection.handle(LIST, [GRANTED])) == []
    data = userauth(session, KEY)
    assert "not granted" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_a_server_must_have_signed_the_session() -> None:
    """The public key of a granted host doesn't bind: its signature over this very session does."""
    session = SERVER.session()
    for signature in (
        signatures.sign(OTHER.key, session, "ssh-ed25519"),
        signatures.sign(SERVER.key, session + b".", "ssh-ed25519"),
    ):
        connection = _alone()
        message = session_bind(SERVER.host_key, session, signature)
        assert "signature over the session is wrong" in _why(connection.handle(message, [GRANTED]))
        data = userauth(session, KEY)
        assert "session-bind" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_a_session_of_an_earlier_connection_is_of_no_use() -> None:
    """A request must belong to the session to which its own connection is bound."""
    connection, _ = _bound()
    data = userauth(SERVER.session(), KEY)
    assert "another session" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_a_session_of_somebody_else_is_not_signed_for() -> None:
    """A session with the granted host that doesn't run over a connection of the run gets nothing.

    A command could bind itself to the session of an accomplice elsewhere, and log that one in.
    """
    connection, session = _alone(), SERVER.session()
    bind = SERVER.bind(session)
    assert "not on a connection of this run" in _why(connection.handle(bind, [GRANTED]))
    assert _keys(connection.handle(LIST, [GRANTED])) == []
    assert isinstance(connection.handle(sign(KEY, userauth(session, KEY)), [GRANTED]), Refused)


@pytest.mark.parametrize("place", [("evil.example", 22), ("git.example", 2222)])
def test_a_relayed_session_is_not_signed_for(place: tuple[str, int]) -> None:
    """A session that another host or port relays is none with the granted host."""
    sessions = Sessions()
    session, bind = sessions.connect(place=place)
    connection = AgentConnection(sessions)
    assert isinstance(connection.handle(bind, [GRANTED]), Refused)
    assert isinstance(connection.handle(sign(KEY, userauth(session, KEY)), [GRANTED]), Refused)


def test_a_session_that_is_over_is_not_signed_for() -> None:
    """Once the connection to the server is closed, its session gets no signature."""
    sessions = Sessions()
    session, bind = sessions.connect()
    connection = AgentConnection(sessions)
    request = sign(KEY, userauth(session, KEY))
    assert connection.handle(bind, [GRANTED]) == b"\x06"
    assert isinstance(connection.handle(request, [GRANTED]), Signing)
    sessions.clear()
    assert isinstance(connection.handle(request, [GRANTED]), Refused)


def test_a_connection_is_bound_once() -> None:
    """A connection that is bound can't be bound to a further session."""
    connection, _ = _bound()
    again = connection.handle(SERVER.bind(SERVER.session()), [GRANTED])
    assert "bound to a session before" in _why(again)


def test_a_forwarded_connection_is_of_no_use() -> None:
    """Once another machine speaks on a connection, nothing is listed, bound or signed there."""
    connection, session = _alone(), SERVER.session()
    assert "forwarded" in _why(connection.handle(SERVER.bind(session, forwarding=True), [GRANTED]))
    assert _keys(connection.handle(LIST, [GRANTED])) == []
    assert "before" in _why(connection.handle(SERVER.bind(session), [GRANTED]))
    data = userauth(session, KEY)
    assert "forwarded" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_only_authentication_is_signed() -> None:
    """A file, a commit, another service or another method is not signed, even in a bound session."""
    connection, session = _bound()
    file = b"SSHSIG" + b"".join(map(string, (b"git", b"", b"sha512", bytes(64))))
    for data in (
        file,
        b"",
        session,
        userauth(session, KEY, service="ssh-userauth"),
        userauth(session, KEY, method="hostbased"),
        userauth(session, KEY) + b"more",
        userauth(session, KEY).replace(b"\x32", b"\x33", 1) if b"\x32" not in session else file,
        userauth(session, KEY, host_key=SERVER.host_key),
    ):
        assert "malformed" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_another_key_is_not_signed_with() -> None:
    """Neither a key that isn't granted nor a request for another key than it names gets a signature."""
    connection, session = _bound()
    stranger = OTHER.host_key
    data = userauth(session, stranger)
    assert "not granted" in _why(connection.handle(sign(stranger, data), [GRANTED]))
    assert "another key" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_the_algorithm_is_the_one_that_the_request_names() -> None:
    """A request can't be made to mean another algorithm than it says."""
    connection, session = _bound()
    data = userauth(session, KEY, algorithm="rsa-sha2-512")
    assert "asks for ssh-ed25519" in _why(connection.handle(sign(KEY, data), [GRANTED]))


def test_a_grant_for_one_user_is_for_no_other() -> None:
    """A grant that names a user of the host signs for that user alone; another grant may allow more."""
    connection, session = _bound()
    limited = replace(GRANTED, address=HostAddress("git.example", 22, "git"))
    data = userauth(session, KEY, user="root")
    assert "user git" in _why(connection.handle(sign(KEY, data), [limited]))
    assert isinstance(connection.handle(sign(KEY, data), [limited, GRANTED]), Signing)
    data = userauth(session, KEY, user="git")
    assert isinstance(connection.handle(sign(KEY, data), [limited]), Signing)


def test_a_revoked_grant_signs_no_more() -> None:
    """A connection that is bound gets nothing once the grant is gone."""
    connection, session = _bound()
    data = userauth(session, KEY)
    assert isinstance(connection.handle(sign(KEY, data), [GRANTED]), Signing)
    assert "not granted" in _why(connection.handle(sign(KEY, data), []))
    assert _keys(connection.handle(LIST, [])) == []


def test_keys_are_listed_by_the_server() -> None:
    """Before a session is bound all granted keys are listed, each once, and then the server's."""
    second = replace(GRANTED, key=OTHER.host_key, host_keys=frozenset({OTHER.host_key}))
    twice = replace(GRANTED, address=HostAddress("c"))
    granted = [GRANTED, second, twice]
    assert _keys(_alone().handle(LIST, granted)) == [
        (KEY, "work"),
        (OTHER.host_key, "work"),
    ]
    connection, _ = _bound()
    assert _keys(connection.handle(LIST, granted)) == [(KEY, "work")]


@pytest.mark.parametrize("kind", [k for k in range(256) if k not in {11, 13, 27}])
def test_every_other_message_is_refused(kind: int) -> None:
    """Keys can't be added, removed or locked, and no message that may come one day is obeyed."""
    connection, _ = _bound()
    assert "no message" in _why(connection.handle(bytes([kind]) + string(b"x"), [GRANTED]))


def test_other_extensions_are_refused() -> None:
    """An extension that the agent doesn't know fails, whatever it would do."""
    message = b"\x1b" + string("restrict-destination-v00@openssh.com")
    assert "no extension" in _why(_alone().handle(message, [GRANTED]))


@given(st.binary(), st.booleans())
def test_nonsense_gets_nothing(data: bytes, bound: bool) -> None:
    """Whatever a client sends, it gets a list of public keys or is refused; no error escapes."""
    connection = _bound()[0] if bound else _alone()
    for kind in (b"", b"\x0b", b"\x0d", b"\x1b", b"\x1b" + string("session-bind@openssh.com")):
        answer = connection.handle(kind + data, [GRANTED])
        assert isinstance(answer, Refused) or answer[:1] == b"\x0c"


@given(st.data())
def test_a_request_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    """No bit of the session, the method, the key or the algorithm can differ from what is granted."""
    connection, session = _bound()
    granted = [replace(GRANTED, address=HostAddress("git.example", 22, "git"))]
    request = bytearray(userauth(session, KEY))
    place = data.draw(st.integers(0, len(request) - 1))
    request[place] ^= data.draw(st.integers(1, 255))
    assert isinstance(connection.handle(sign(KEY, bytes(request)), granted), Refused)


def test_a_signature_is_carried_back() -> None:
    """The answer to a sign request has the signature in the protocol's form."""
    assert agent.signed(b"signature") == b"\x0e" + string(b"signature")
