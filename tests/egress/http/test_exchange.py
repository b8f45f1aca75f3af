"""The state machine of an exchange, as a dialogue with all that surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.egress.http.exchange_play import Play

from moat.egress.http.messages import CHUNKED, NO_BODY
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.engine import Policy
from moat.spec.network import Network

if TYPE_CHECKING:
    from moat.egress.http.exchange import Exchange


def test_a_request_and_its_response() -> None:
    """A request is decided about, recorded and sent; its response frees the connection."""
    play = Play()
    play.exchange.begin()
    assert play.gateway.entries == [("allowed", -1.0)], "recorded before anything is sent"
    assert play.heard == ["connect"]
    play.connected()
    assert play.heard == ["server: GET /x"]
    play.gateway.time = 0.25
    play.response()
    play.exchange.response_data([b"hi"])
    play.gateway.time = 0.5
    play.exchange.response_end([])
    assert play.heard == ["client: 200", "client: hi", "server: released", "client: end"]
    entry = play.entry
    assert (entry.status, entry.first_byte, entry.total, entry.received) == (200, 0.25, 0.5, 2)
    assert play.gateway.entries[-1] == ("allowed", 0.5)


def test_a_body_waits_for_its_connection() -> None:
    """The part that came early is sent first, then client and server go on."""
    play = Play("POST", framing=CHUNKED)
    play.exchange.begin()
    play.exchange.request_data([b"early"])
    assert play.heard == ["client: stop", "connect"]
    play.connected()
    assert play.heard == ["server: POST /x", "server: early", "client: go on"]
    play.exchange.request_data([b"late"])
    play.exchange.request_end([(b"x", b"y")])
    assert play.heard == ["server: late", "server: end with trailers"]
    assert play.entry.sent == len(b"earlylate")


def test_trailers_wait_for_their_connection_too() -> None:
    """A request may be complete before there is a connection."""
    play = Play("POST", framing=CHUNKED)
    play.exchange.begin()
    play.exchange.request_data([b"early"])
    play.exchange.request_end([(b"x", b"y")])
    play.told.clear()
    play.connected()
    assert "server: end with trailers" in play.heard


def test_trailers_of_a_request_override_nothing() -> None:
    """The request has been decided about; a server may still take a method from its trailers."""
    play = Play("POST", framing=CHUNKED)
    play.exchange.begin()
    play.connected()
    play.exchange.request_end([(b"X-HTTP-Method-Override", b"DELETE")])
    assert play.heard[-1] == "server: end"


def test_a_denial_goes_nowhere() -> None:
    """The proxy answers by itself and makes no connection."""
    play = Play(network=Network(policy="strict"))
    play.exchange.begin()
    said, line, end = play.heard[1:]
    assert (said, end) == ("client: 403", "client: end")
    assert "denied: no rule allows it" in line
    assert play.gateway.entries == [("denied", 0.0)]


def test_nothing_passes_that_can_not_be_recorded() -> None:
    """While nothing can be recorded, nothing is even decided."""
    play = Play()
    play.gateway.trouble = "the disk is full"
    play.exchange.begin()
    assert play.heard[1:] == ["client: 503", "client: moat: the disk is full", "client: end"]
    assert play.entry.verdict == "failed"


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
def test_the_user_is_asked_while_the_client_waits(verdict: Verdict) -> None:
    """The request waits for the answer, and the record says so."""
    play = Play(network=Network(policy="ask"))
    play.exchange.begin()
    assert play.gateway.entries == [("asking", -1.0)]
    assert play.heard == ["client: wait", "user: asked"]
    play.answer(verdict)
    if verdict is Verdict.ALLOW:
        assert play.heard == ["client: go on", "connect"]
        assert play.gateway.entries[-1] == ("allowed", -1.0)
    else:
        assert play.heard == ["client: go on", "client: 403", "client: moat: no", "client: end"]
        assert play.gateway.entries[-1] == ("denied", 0.0)


@pytest.mark.parametrize("end", ["the client left", "it took too long"])
def test_the_user_is_asked_no_longer_than_somebody_waits(end: str) -> None:
    """The question is withdrawn once, whatever ended the exchange."""
    play = Play(network=Network(policy="ask"))
    play.exchange.begin()
    if end == "the client left":
        play.exchange.downstream_lost()
    else:
        play.exchange.failed(504, "no byte has passed")
    assert play.told.count("user: not asked any more") == 1


def test_what_else_a_request_may_be_taken_for_is_asked_as_well() -> None:
    """Each reading is a question of its own, and a denied one is never asked about."""
    play = Play("POST", overriding=("PUT", "DELETE"), network=Network(policy="ask"))
    play.exchange.begin()
    play.answer(Verdict.ALLOW, "allow POST a.test", "allow DELETE a.test")
    assert play.heard == ["client: wait", "user: asked", "client: wait", "user: asked about PUT /x"]
    assert play.exchange.asking
    play.answer(Verdict.ALLOW, "allow a.test")
    assert play.heard == ["client: go on", "connect"]
    assert not play.exchange.asking

    play = Play("POST", overriding=("PUT",), network=Network(policy="ask"))
    play.gateway.policy = Policy(Network(policy="ask"), ["deny PUT a.test"])
    play.exchange.begin()
    assert play.heard[:2] == ["client: go on", "client: 403"]


def test_a_request_beyond_a_limit_goes_nowhere() -> None:
    """The policy allows it, and the budget of the run doesn't."""
    play = Play()
    play.gateway.against = Decision(Verdict.DENY, "limits.requests", "moat: no more")
    play.exchange.begin()
    assert play.heard[1:] == ["client: 403", "client: moat: no more", "client: end"]
    assert (play.entry.verdict, play.entry.rule) == ("denied", "limits.requests")


def test_a_request_waits_for_a_limit_to_be_raised() -> None:
    """The policy decides about it again then, and it is charged again."""
    play = Play()
    play.gateway.against = Decision(Verdict.ASK, "limits.tokens", "moat: no more")
    play.exchange.begin()
    assert play.gateway.entries == [("asking", -1.0)]
    assert play.heard == ["client: wait", "user: asked about limits.tokens"]
    play.exchange.answered_by_user(Decision(Verdict.ALLOW, "limits.tokens"))
    assert play.heard == ["client: wait", "user: asked about limits.tokens"]
    play.gateway.against = None
    play.exchange.answered_by_user(Decision(Verdict.ALLOW, "limits.tokens"))
    assert play.heard == ["client: go on", "connect"]


def test_a_body_is_broken_off_where_no_more_bytes_may_go() -> None:
    """Each piece is counted before it is sent."""
    play = Play("POST", framing=CHUNKED)
    play.begun()
    play.exchange.request_data([b"abc", b"de"])
    assert play.gateway.sent == 5
    play.gateway.against = Decision(Verdict.DENY, "limits.bytes_out", "moat: no more")
    play.told.clear()
    play.exchange.request_data([b"secret"])
    assert play.heard[:2] == ["server: aborted at once", "client: go on"]
    assert play.entry.rule == "limits.bytes_out"


def test_trailers_count_like_the_body() -> None:
    """A run could send as much as it likes in them, otherwise."""
    play = Play("POST", framing=CHUNKED)
    play.begun()
    play.exchange.request_end([(b"X-Sum", b"12345")])
    assert (play.gateway.sent, play.heard) == (14, ["server: end with trailers"])

    play = Play("POST", framing=CHUNKED)
    play.begun()
    play.gateway.against = Decision(Verdict.DENY, "limits.bytes_out", "moat: no more")
    play.exchange.request_end([(b"X-Sum", b"secret")])
    assert play.heard[:2] == ["server: aborted at once", "client: go on"]
    assert play.entry.rule == "limits.bytes_out"


def test_a_repeated_request_is_charged_again() -> None:
    """A server may read a request and act as if its connection had been stale."""
    play = Play()
    play.exchange.begin()
    play.connected(reused=True)
    play.gateway.against = Decision(Verdict.DENY, "limits.requests", "moat: no more")
    play.told.clear()
    play.exchange.upstream_lost("a.test closed the connection early", unused=True)
    assert play.heard == ["client: go on", "client: 403", "client: moat: no more", "client: end"]
    assert play.entry.rule == "limits.requests"


def test_a_body_that_is_sent_once_more_counts_once_more() -> None:
    """Nor is it sent again where a limit has no room for it."""
    for against in (None, Decision(Verdict.DENY, "limits.bytes_out", "moat: no more")):
        play = Play("POST", framing=5)
        play.exchange.body.keep()
        play.begun()
        play.exchange.request_data([b"abcde"])
        play.exchange.request_end([])
        play.gateway.against = against
        assert play.exchange.withdraw()
        assert play.gateway.sent == 10
        assert ("client: 403" in play.heard) == (against is not None)


def test_an_answered_question_is_not_withdrawn() -> None:
    """The request goes on like any other, and its body is read once there is a server."""
    play = Play("POST", framing=2, network=Network(policy="ask"))
    play.exchange.begin()
    play.answer(Verdict.ALLOW)
    assert play.heard == ["client: wait", "user: asked", "client: stop", "connect"]
    play.connected()
    play.exchange.downstream_lost()
    assert play.heard == ["server: POST /x", "client: go on", "server: aborted"]


def test_an_answer_that_comes_too_late_is_for_nobody() -> None:
    """The client has left while the user was thinking, so no connection is used."""
    play = Play(network=Network(policy="ask"))
    play.exchange.begin()
    play.exchange.downstream_lost()
    play.told.clear()
    play.answer(Verdict.ALLOW)
    assert play.heard == []

    play = Play()
    play.exchange.begin()
    play.exchange.downstream_lost()
    play.told.clear()
    play.connected()
    assert play.heard == ["server: released"]


def test_a_method_that_a_server_might_take_instead_must_be_allowed() -> None:
    """Every method that a field names must be allowed."""
    network = Network(rules=("deny DELETE a.test",))
    play = Play("POST", framing=0, overriding=("PATCH", "DELETE"), network=network)
    play.exchange.begin()
    assert "client: 403" in play.heard
    assert play.entry.rule == "deny DELETE a.test"


def test_a_path_that_a_server_might_take_instead_must_be_allowed() -> None:
    """Every path that a field names must be allowed, where a rule looks at paths."""
    for rule, verdict in (("deny a.test/secret", "denied"), ("deny b.test/secret", "allowed")):
        play = Play(network=Network(rules=(rule,)))
        play.exchange.request.rerouted = ("/secret",)
        play.exchange.begin()
        assert play.gateway.entries[-1][0] == verdict


def test_what_is_denied_before_its_answer_is_answered_so() -> None:
    """If the policy changes while the server works, the client is told why and the server is dropped."""
    play = Play("POST", framing=10)
    play.begun()
    play.gateway.policy = Policy(Network(), ["deny a.test"])
    play.exchange.reconsider()
    aborted, _, status, line, end = play.heard
    assert (aborted, status, end) == ("server: aborted at once", "client: 403", "client: end")
    assert "denied by rule: deny a.test" in line
    assert (play.entry.verdict, play.entry.rule) == ("denied", "deny a.test")
    play.exchange.request_data([b"more"])
    play.exchange.reconsider()
    assert play.heard == []


@pytest.mark.parametrize("status", [200, 101])
def test_what_is_denied_in_its_midst_breaks_off(status: int) -> None:
    """Neither a stream of events nor a WebSocket survives `moat deny`."""
    play = Play(upgrade=b"websocket")
    play.begun()
    play.response(status, CHUNKED)
    play.told.clear()
    play.gateway.policy = Policy(Network(), ["deny a.test/y", "deny POST a.test"])
    play.exchange.reconsider()
    assert play.heard == []
    play.gateway.policy = Policy(Network(), ["deny a.test/x"])
    play.exchange.reconsider()
    assert play.heard == ["server: aborted at once", "client: aborted"]
    entry = play.entry
    assert (entry.verdict, entry.rule, entry.status) == ("denied", "deny a.test/x", status)
    assert play.gateway.entries[-1] == ("denied", 0.0)


def test_what_is_denied_while_it_connects_is_sent_nowhere() -> None:
    """A connection that comes too late is given back, and a waiting request goes on waiting."""
    play = Play()
    play.exchange.begin()
    play.gateway.policy = Policy(Network(), ["deny a.test"])
    play.exchange.reconsider()
    play.told.clear()
    play.connected()
    assert play.heard == ["server: released"]

    play = Play(network=Network(policy="ask"))
    play.exchange.begin()
    play.told.clear()
    play.exchange.reconsider()
    assert play.heard == []


def test_a_request_is_authorized_after_it_is_allowed_and_before_it_connects() -> None:
    """The server gets the authorized copy; the client's own request stays what it was."""
    play = Play("POST", framing=CHUNKED)
    play.gateway.authorizes_at_once = False
    play.exchange.begin()
    assert play.gateway.entries == [("allowed", -1.0)]
    play.exchange.request_data([b"early"])
    assert play.heard == ["client: stop", "authorize"]
    play.authorize(b"token")
    assert play.heard == ["connect"]
    play.connected()
    assert play.heard == ["server: POST /x with token", "server: early", "client: go on"]
    assert play.exchange.request.fields == []


def test_a_denied_request_is_never_authorized() -> None:
    """No credential is fetched for it."""
    play = Play(network=Network(policy="strict"))
    play.gateway.authorizes_at_once = False
    play.exchange.begin()
    assert "authorize" not in play.heard


@pytest.mark.parametrize(("status", "verdict"), [(502, "failed"), (403, "denied")])
def test_a_request_that_is_not_authorized_is_answered_with_the_reason(
    status: int, verdict: str
) -> None:
    """In one line, and no connection is made."""
    play = Play()
    play.gateway.authorizes_at_once = False
    play.exchange.begin()
    if verdict == "failed":
        play.exchange.failed(502, "no token for github")
    else:
        play.exchange.deny(Decision(Verdict.DENY, "grant github", "moat: no token for github"))
    said = [f"client: {status}", "client: moat: no token for github", "client: end"]
    assert play.heard == ["authorize", "client: go on", *said]
    play.authorize(b"too late")
    assert play.heard == []
    assert (play.entry.verdict, play.entry.error) == (verdict, "no token for github")


@pytest.mark.parametrize("end", ["the client left", "the policy changed"])
def test_an_authorization_that_comes_too_late_connects_nowhere(end: str) -> None:
    """The exchange has ended meanwhile."""
    play = Play()
    play.gateway.authorizes_at_once = False
    play.exchange.begin()
    if end == "the client left":
        play.exchange.downstream_lost()
    else:
        play.gateway.policy = Policy(Network(), ["deny a.test"])
        play.exchange.reconsider()
    play.told.clear()
    play.authorize(b"token")
    assert play.heard == []


def test_a_retry_sends_the_authorized_request() -> None:
    """It is not authorized a second time."""
    play = Play()
    play.gateway.authorizes_at_once = False
    play.exchange.begin()
    play.authorize(b"token")
    play.connected(reused=True)
    play.exchange.upstream_lost("a.test closed the connection early", unused=True)
    play.connected()
    sent = "server: GET /x with token"
    assert play.heard == ["authorize", "connect", sent, "connect anew", sent]


@pytest.mark.parametrize(
    ("method", "framing", "reused", "again"),
    [
        ("GET", NO_BODY, True, True),
        ("GET", NO_BODY, False, False),
        ("DELETE", NO_BODY, True, True),
        ("POST", NO_BODY, True, False),
        ("PUT", 3, True, False),
    ],
)
def test_a_stale_connection_is_replaced_where_that_does_no_harm(
    method: str, framing: int, reused: bool, again: bool
) -> None:
    """A request is repeated once, if it is idempotent and has no body (RFC 9110 9.2.2)."""
    play = Play(method, framing=framing)
    play.exchange.begin()
    play.connected(reused=reused)
    play.told.clear()
    play.exchange.upstream_lost("a.test closed the connection early", unused=True)
    heard = play.heard
    assert ("connect anew" in heard) == again
    assert ("client: 502" in heard) != again
    if again:
        play.connected(reused=True)
        play.exchange.upstream_lost("a.test closed the connection early", unused=True)
        assert "client: 502" in play.heard


def test_what_breaks_off_looks_so() -> None:
    """A client that has seen the head sees the connection end without the end of the body."""
    play = Play()
    play.begun()
    play.response(framing=10)
    play.exchange.response_data([b"hi"])
    play.exchange.upstream_lost("a.test broke the connection", unused=False)
    assert play.heard == ["client: 200", "client: hi", "client: aborted"]
    assert (play.entry.verdict, play.entry.status) == ("failed", 200)


def test_an_answer_may_come_before_the_request_has_ended() -> None:
    """The server's connection is not reused, and the rest of the body is discarded."""
    play = Play("POST", framing=10)
    play.begun()
    play.exchange.request_data([b"hi"])
    play.response(413, NO_BODY)
    play.exchange.response_end([])
    play.exchange.request_data([b"more"])
    assert play.heard == ["server: hi", "client: 413", "server: aborted", "client: end"]


def test_each_side_stops_the_other() -> None:
    """Back-pressure of either side pauses the other, and is released again."""
    play = Play()
    play.begun()
    play.exchange.downstream_full()
    play.exchange.downstream_drained()
    play.exchange.upstream_full()
    play.exchange.upstream_drained()
    assert play.heard == ["server: stop", "server: go on", "client: stop", "client: go on"]


@pytest.mark.parametrize(("minor", "hints"), [(1, ["client: 103"]), (0, [])])
def test_hints_are_for_who_knows_them(minor: int, hints: list[str]) -> None:
    """A client of HTTP/1.0 gets no informational responses."""
    play = Play(minor=minor)
    play.begun()
    play.response(103, NO_BODY)
    assert play.heard == hints
    assert play.entry.status == 0


def test_another_protocol_is_bytes_both_ways() -> None:
    """A WebSocket is recorded when it begins, and however it ends, it hasn't failed."""
    play = Play(upgrade=b"websocket")
    play.begun()
    play.response(101, NO_BODY)
    play.exchange.request_data([b"ping"])
    play.exchange.response_data([b"pong"])
    heard = ["client: 101", "server: bytes", "client: bytes", "server: ping", "client: pong"]
    assert play.heard == heard
    assert play.gateway.entries[-1] == ("allowed", -1.0)
    play.exchange.downstream_lost()
    assert play.heard == ["server: aborted"]
    entry = play.entry
    assert (entry.verdict, entry.protocol, entry.status) == ("allowed", "websocket", 101)
    assert (entry.sent, entry.received) == (4, 4)


@pytest.mark.parametrize("upgrade", [None, b"other"])
def test_a_server_changes_to_no_protocol_that_nobody_asked_for(upgrade: bytes | None) -> None:
    """A protocol that the client didn't offer could carry anything."""
    play = Play(upgrade=upgrade)
    play.begun()
    play.response(101, NO_BODY)
    assert play.heard[:3] == ["server: aborted", "client: go on", "client: 502"]


@pytest.mark.parametrize("pieces", [[b"hell"], [b"hello", b"!"]])
def test_a_body_is_as_long_as_was_said(pieces: list[bytes]) -> None:
    """In HTTP/2 the length may be wrong; a server of HTTP/1.1 would see a request in the difference."""
    play = Play("POST", framing=5)
    play.begun()
    for piece in pieces:
        play.exchange.request_data([piece])
    play.exchange.request_end([])
    heard = play.heard
    assert "client: 400" in heard
    assert "server: aborted" in heard
    assert "server: end" not in heard


@pytest.mark.parametrize(("status", "framing", "body"), [(200, 5, b"hell"), (204, 0, b"evil")])
def test_a_response_is_as_long_as_was_said(status: int, framing: int, body: bytes) -> None:
    """A client of HTTP/1.1 would see another response in the difference."""
    play = Play()
    play.begun()
    play.response(status, framing)
    play.exchange.response_data([body])
    play.exchange.response_end([])
    assert play.heard[-1] == "client: aborted"
    assert play.entry.verdict == "failed"


EVENTS = (
    "allow", "deny", "connected", "body", "end of body", "client lost", "client full",
    "client drained", "103", "101", "200", "data", "end", "server lost", "server gone stale",
    "authorized", "not authorized",
)  # fmt: skip


class World:
    """The events that can happen next to an exchange."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.ending = ""
        """The reason why nothing more comes from the client."""
        self.body_left = play.exchange.request.framing != NO_BODY
        self.final = False

    def happens(self, event: str) -> None:
        play, exchange = self.play, self.play.exchange
        connecting = [line for line in play.told if line.startswith(("connect", "server: "))]
        if event == "connected" and connecting and connecting[-1].startswith("connect"):
            play.connected(reused=True)
            self.final = False
        elif event in {"allow", "deny"} and play.told[-1:] == ["user: asked"]:
            play.answer(Verdict.ALLOW if event == "allow" else Verdict.DENY)
        elif event in {"authorized", "not authorized"} and "authorize" in play.told:
            if event == "authorized":
                play.authorize(b"token")
            else:
                exchange.failed(502, "no token")
            play.told.remove("authorize")
        elif event in {"body", "end of body"} and self.body_left:
            if event == "body":
                exchange.request_data([b"x"])
            else:
                self.body_left = False
                exchange.request_end([])
        elif event == "client lost" and not self.ending:
            self.ending = event
            exchange.downstream_lost()
        elif event in {"client full", "client drained"} and not self.ending:
            (exchange.downstream_full if event == "client full" else exchange.downstream_drained)()
        elif self._has_server():
            self._server(event, exchange)

    def _has_server(self) -> bool:
        sent = any(line.startswith("server: GET /x") for line in self.play.told)
        return sent and not self.play.upstream.let_go

    def _server(self, event: str, exchange: Exchange) -> None:
        match event:
            case "103" | "101" | "200" if not self.final:
                self.final = event != "103"
                self.play.response(int(event), CHUNKED if event == "200" else 0)
            case "data" if self.final:
                exchange.response_data([b"y"])
            case "end" if self.final:
                exchange.response_end([])
            case "server lost" | "server gone stale":
                stale = event == "server gone stale" and not self.final
                self.play.upstream.let_go += 1
                exchange.upstream_lost("it has gone", unused=stale)
            case _:
                return


@given(
    st.lists(st.sampled_from(EVENTS), max_size=30),
    st.sampled_from(["permissive", "ask", "strict"]),
    st.sampled_from([NO_BODY, CHUNKED, 2]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=400)
def test_whatever_happens_there_is_one_answer_and_one_end(
    events: list[str], policy: str, framing: int, upgrade: bool, authorizes_at_once: bool
) -> None:
    """There is at most one final head and one end, one end in the record, and no connection leaks."""
    play = Play(
        framing=framing,
        upgrade=b"websocket" if upgrade else None,
        network=Network(policy=policy),
    )
    play.gateway.authorizes_at_once = authorizes_at_once
    world = World(play)
    play.exchange.begin()
    for event in events:
        world.happens(event)
    world.happens("client lost")

    told = play.told
    heads = [line for line in told if line in {f"client: {n}" for n in (101, 200, 400, 403, 502)}]
    assert len(heads) <= 1
    ends = [line for line in told if line in {"client: end", "client: aborted"}]
    assert len(ends) <= 1
    ended = [total for _, total in play.gateway.entries if total >= 0]
    assert len(ended) == 1
    assert play.gateway.entries[-1][1] >= 0
    assert play.entry.verdict in {"allowed", "denied", "failed"}
    assert [upstream.let_go for upstream in play.made] == [1] * len(play.made)
