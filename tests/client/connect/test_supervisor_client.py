"""Requests to a supervisor: answers, refusals, and supervisors that die."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from tests.client.supervisors import Supervisors

from moat.client.connect.restart_limit import MAX_RESTARTS, RestartLimit
from moat.client.connect.supervisor_client import SupervisorClient, SupervisorLeftError
from moat.errors import MoatError, SupervisorError
from moat.wire import http

if TYPE_CHECKING:
    from moat.runs.store import Run, Store


def answer(value: object, status: int = 200) -> bytes:
    return http.encode_response(status, json.dumps(value).encode())


def client(store: Store, run: Run) -> SupervisorClient:
    return SupervisorClient(store.home, store.folder(run.id))


def test_a_question_goes_to_the_next_supervisor_where_one_dies_over_it(
    store: Store, run: Run
) -> None:
    """The answer is that of the first which gives one; half an answer is none."""
    whole = answer({"state": "running"})
    with Supervisors(store.folder(run.id), b"", whole[:-3], whole) as supervisors:
        assert client(store, run).get("/v1/run", until="started") == {"state": "running"}
    assert len(supervisors.requests) == 3
    assert supervisors.requests[0].startswith(b"GET /v1/run?until=started HTTP/1.1\r\n")


def test_a_deadline_is_sent_as_the_time_that_is_left(store: Store, run: Run) -> None:
    """And parameters without a value are left out."""
    with Supervisors(store.folder(run.id), answer({})) as supervisors:
        client(store, run).get("/v1/wait", deadline=time.monotonic() - 1, seconds=None)
    assert supervisors.requests[0].startswith(b"GET /v1/wait?timeout=0.0 HTTP/1.1\r\n")


def test_an_order_is_given_once(store: Store, run: Run) -> None:
    """A supervisor that died over it may have carried it out."""
    with (
        Supervisors(store.folder(run.id), b"") as supervisors,
        pytest.raises(SupervisorLeftError),
    ):
        client(store, run).post("/v1/send", data="eA==")
    assert supervisors.requests[0].endswith(b'\r\n\r\n{"data": "eA=="}')


def test_a_refusal_is_the_supervisors_own_error(store: Store, run: Run) -> None:
    """Its summary, hint and code; what is no such thing is quoted."""
    refusal = answer({"summary": "not now", "hint": "later", "code": "engine"}, 409)
    with Supervisors(store.folder(run.id), refusal), pytest.raises(MoatError) as caught:
        client(store, run).post("/v1/exec")
    error = caught.value
    assert (error.summary, error.hint, error.code) == ("not now", "later", "engine")
    with (
        Supervisors(store.folder(run.id), http.encode_response(500, b"oh")),
        pytest.raises(SupervisorError, match="answered 500: b'oh'"),
    ):
        client(store, run).text("/v1/screen")


def test_an_upgrade_that_is_refused_is_an_error(store: Store, run: Run) -> None:
    """Nothing but 101 begins another protocol."""
    refusal = answer({"summary": "no such protocol"}, 404)
    with (
        Supervisors(store.folder(run.id), refusal),
        pytest.raises(MoatError, match="no such protocol"),
    ):
        client(store, run).upgrade("/v1/attach", "moat-attach/0")


def test_supervisors_that_keep_dying_are_given_up(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that die at once; one that has lived for a while is forgiven."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limit = RestartLimit(store, run)
    for _ in range(MAX_RESTARTS - 1):
        limit.supervisor_died()
    now = 6.0
    limit.supervisor_died()
    for _ in range(MAX_RESTARTS - 1):
        limit.supervisor_died()
    with pytest.raises(SupervisorError, match="keeps dying") as caught:
        limit.supervisor_died(ConnectionError("gone"))
    assert str(caught.value.__cause__) == "gone"
