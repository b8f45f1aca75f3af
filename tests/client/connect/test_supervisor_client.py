"""Requests to a supervisor: answers, refusals, and supervisors that die."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.client.supervisors import Supervisors

from moat.client.connect.patience import Patience, SupervisorStuckError
from moat.client.connect.restart_limit import MAX_RESTARTS, RestartLimit
from moat.client.connect.supervisor_client import SupervisorClient, SupervisorLeftError
from moat.errors import MoatError, SupervisorError
from moat.platform import sockets
from moat.runs import lock
from moat.wire import http

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

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


# --- supervisors that live and don't answer ---


@pytest.fixture
def silent(store: Store, run: Run) -> Iterator[socket.socket]:
    """The listener of a supervisor that accepts nobody; this process holds its lock."""
    folder = store.folder(run.id)
    with lock.locked(folder.supervisor_lock):
        listener = sockets.listen(folder.root, folder.SUPERVISOR_SOCKET)
        yield listener
        listener.close()


def test_a_supervisor_that_says_nothing_is_named(
    store: Store, run: Run, silent: socket.socket
) -> None:
    """The error has its process and what helps; nobody waits for ever."""
    impatient = SupervisorClient(store.home, store.folder(run.id), 0.01)
    for ask in (
        lambda: impatient.get("/v1/run"),
        lambda: impatient.post("/v1/stop"),
        lambda: impatient.upgrade("/v1/attach", "moat-attach/1"),
    ):
        with pytest.raises(SupervisorStuckError) as caught:
            ask()
        assert f"process {os.getpid()} has said nothing" in caught.value.summary
        assert "moat kill --force" in (caught.value.hint or "")


def test_an_answer_may_take_long_where_the_supervisor_shows_that_it_lives(
    store: Store, run: Run, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for its version meanwhile, and the wait goes on."""
    readable, first = Patience.readable, iter([True])

    def in_time(self: Patience, source: socket.socket | int, factor: float = 1) -> bool:
        """Be out of patience once; then the machine may be as slow as it likes."""
        return not next(first, False) and readable(self, source, factor)

    monkeypatch.setattr(Patience, "readable", in_time)

    def serve() -> None:
        asked, _ = silent.accept()
        with asked:
            other, _ = silent.accept()  # it asks whether we live, which is when we answer both
            with other:
                assert b"/v1/version" in other.recv(1 << 16)
                other.sendall(answer({}))
            asked.recv(1 << 16)
            asked.sendall(answer({"happened": "exit"}))

    thread = threading.Thread(target=serve)
    thread.start()
    found = SupervisorClient(store.home, store.folder(run.id), 120).get("/v1/wait")
    thread.join()
    assert found == {"happened": "exit"}


def test_the_users_setting_is_the_deadline(store: Store, run: Run, silent: socket.socket) -> None:
    """It is read when the first second is over."""
    (store.home / "config.yaml").write_text("answer_timeout: 1.01\n")
    with pytest.raises(SupervisorStuckError, match=r"for 1\.01 s"):
        client(store, run).get("/v1/run")
