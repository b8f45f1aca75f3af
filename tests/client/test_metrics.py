"""Gathering metrics from supervisors that answer, hang, talk without end or are gone."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest

from moat.client import metrics
from moat.paths import RunFolder
from moat.platform import sockets
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec
from moat.wire import http
from moat.wire.metrics import Sample, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = json.dumps({"samples": as_json([Sample("moat_run_viewers", 2, {"run": "x"})])}).encode()
SHORT_S = 0.2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as opened:
        yield opened


def running(store: Store, name: str) -> RunFolder:
    spec = RunSpec(
        id=RunId(name[0] * 12),
        name=name,
        command=("true",),
        workspace="/",
        created_at="2026-01-01T00:00:00.000Z",
    )
    store.create(spec)
    store.update(spec.id, state=State.RUNNING)
    return store.folder(spec.id)


def answering(stack: ExitStack, folder: RunFolder, answer: bytes | None) -> None:
    """Listen like a supervisor, and give everybody this answer; `None`: never accept."""
    listener = stack.enter_context(
        closing(sockets.listen(folder.root, RunFolder.SUPERVISOR_SOCKET))
    )
    listener.setblocking(True)
    if answer is None:
        return

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            with suppress(BrokenPipeError, ConnectionResetError):  # who has heard enough hangs up
                sock.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    stack.callback(thread.join)


def test_each_supervisor_is_asked_and_the_store_is_counted(store: Store) -> None:
    """A run has its own samples, and one that says that it has answered."""
    with ExitStack() as stack:
        answering(stack, running(store, "able"), http.encode_response(200, ANSWER))
        found = metrics.gather(store)
    assert found.silent == []
    assert Sample("moat_run_viewers", 2, {"run": "x"}) in found.samples
    assert Sample("moat_runs", 1, {"state": "running"}) in found.samples
    assert Sample("moat_run_up", 1.0, {"run": "a" * 12, "name": "able"}) in found.samples
    assert any(each.family == "moat_disk_bytes" for each in found.samples)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"HTTP/1.1 200",
        http.encode_response(404, b"{}"),
        http.encode_response(200, b"[]"),
        http.encode_response(200, b'{"samples": [1]}'),
        http.encode_response(200, b"x" * (2 << 20)),
    ],
    ids=["hangs", "leaves", "tears", "refuses", "lists", "lies", "floods"],
)
def test_a_bad_supervisor_holds_up_nobody(store: Store, answer: bytes | None) -> None:
    """The others are told, and that this one is silent."""
    with ExitStack() as stack:
        answering(stack, running(store, "bad"), answer)
        found = metrics.gather(store, SHORT_S if answer is None else metrics.DEADLINE_S)
    assert found.silent == ["bad"]
    labels = {"run": "b" * 12, "name": "bad"}
    assert Sample("moat_run_up", 0.0, labels) in found.samples
    assert Sample("moat_run_state", 1, labels | {"state": "running"}) in found.samples


def test_no_supervisor_is_started_for_it(store: Store) -> None:
    """A run without one stands still until somebody wants something of it."""
    folder = running(store, "cold")
    assert metrics.gather(store).silent == ["cold"]
    assert not folder.supervisor_log.exists()


def test_time_that_is_over_is_over(store: Store) -> None:
    """However many runs are left."""
    for name in ("able", "bad", "cold"):
        running(store, name)
    assert sorted(metrics.gather(store, 0.0).silent) == ["able", "bad", "cold"]
