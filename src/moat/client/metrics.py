"""The metrics of a store and of all its living runs, gathered within a deadline.

No supervisor is started for it, and one that hangs is passed over: somebody scrapes every few seconds.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.client.store_status import read_status
from moat.paths import RunFolder
from moat.platform import sockets
from moat.wire import http
from moat.wire.metrics import Sample, from_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.runs.store import Run, Store

DEADLINE_S: Final = 2.0
"""The time that the supervisors have, all of them together."""
_AT_ONCE: Final = 16
_LONGEST: Final = 1 << 20
_REQUEST: Final = http.encode_request("GET", "/v1/metrics")


class Metrics(NamedTuple):
    """The samples, and the names of the runs that have not answered."""

    samples: list[Sample]
    silent: list[str]


def gather(store: Store, deadline: float = DEADLINE_S) -> Metrics:
    """Gather samples for so many seconds. Raises `StoreError`."""
    samples = list(_of_store(store))
    silent: list[str] = []
    living = store.all(ended=False)
    end = time.monotonic() + deadline
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked = [threads.submit(_ask, store.folder(run.id), end) for run in living]
        for run, answer in zip(living, asked, strict=True):
            found = answer.result()
            samples.append(Sample("moat_run_up", float(found is not None), _labels(run)))
            if found is None:
                silent.append(run.name)
                samples.append(Sample("moat_run_state", 1, _labels(run) | {"state": run.state}))
            else:
                samples += found
    return Metrics(samples, silent)


def _labels(run: Run) -> dict[str, str]:
    return {"run": run.id, "name": run.name}


def _of_store(store: Store) -> Iterator[Sample]:
    status = read_status(store, everything=False)
    for state, count in status.states.items():
        yield Sample("moat_runs", count, {"state": state})
    yield Sample("moat_runs_waiting", status.waiting)
    for part, size in status.disk.items():
        yield Sample("moat_disk_bytes", size, {"part": part})


def _ask(folder: RunFolder, end: float) -> list[Sample] | None:
    """Return the samples of a run; `None`: it has no supervisor, or that doesn't answer in time."""
    try:
        within = _left(end)
        with sockets.connect(folder.root, RunFolder.SUPERVISOR_SOCKET, within=within) as sock:
            sock.settimeout(_left(end))
            sock.sendall(_REQUEST)
            answer = b""
            while piece := sock.recv(1 << 16):
                answer += piece
                if len(answer) > _LONGEST:
                    return None
                sock.settimeout(_left(end))
        head, _, body = answer.partition(b"\r\n\r\n")
        if http.decode_response(head).status != 200:
            return None  # an earlier version, which has no metrics
        return from_json(json.loads(body)["samples"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
