"""Checks of the members of an imported run: whatever reads them later finds what Moat writes.

Each raises `ValueError` that says what is wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from moat import typed_json
from moat.archive.members import FORMAT, Facts
from moat.config.names import check_name, is_id
from moat.config.network import redacted
from moat.errors import UsageError
from moat.events import Event
from moat.runs.session_records import SessionRecord
from moat.runs.states import ENDED
from moat.session.journal.index import HEADER_SIZE, Resized, decode, decode_header
from moat.spec import codec
from moat.workspace.changes import Changes
from moat.workspace.manifest import NOT_KEPT

if TYPE_CHECKING:
    from moat.session.journal.index import Header
    from moat.spec import RunSpec, TerminalSize
    from moat.workspace.changes import Side

MASK: Final = "(not exported)"
_EVENTS: Final = {kind.KIND: kind for kind in get_args(Event)}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LATEST: Final = 4e9
"""Seconds since the epoch, in the year 2096."""
_MOST: Final = 1 << 60
MOST_RESIZES: Final = 100_000
_MOST_SCROLLBACK: Final = 1_000_000
_MOST_SCROLLBACK_BYTES: Final = 1 << 30
_LONGEST_ERROR: Final = 64 * 1024


# --- the specification ---


def masked(spec: RunSpec) -> RunSpec:
    """Return a specification without values of variables, passwords, and commands of the host."""
    network = redacted(spec.network)
    return replace(
        spec,
        env=dict.fromkeys(spec.env, MASK),
        on_event=(),
        network=replace(
            spec.network,
            upstream_proxy=network["upstream_proxy"],
            upstream_http_proxy=network["upstream_http_proxy"],
        ),
        container=replace(spec.container, variables=dict.fromkeys(spec.container.variables, MASK)),
    )


def spec_of(data: bytes) -> RunSpec:
    """Return the specification of a run, with numbers that no reader of it stumbles over."""
    text = data.decode()
    _strict(text)
    spec: RunSpec = codec.loads(text)
    if not is_id(spec.id):
        raise ValueError(f"{spec.id[:40]!r} is no id of a run")
    _check_name(spec.name)
    _check_time(spec.created_at)
    _check_size(spec.size)
    if not 0 <= spec.scrollback <= _MOST_SCROLLBACK:
        raise ValueError(f"a scrollback of {spec.scrollback} lines")
    if not 0 <= spec.scrollback_memory <= _MOST_SCROLLBACK_BYTES:
        raise ValueError(f"a scrollback of {spec.scrollback_memory} bytes")
    return spec


def facts_of(data: bytes) -> Facts:
    """Return the facts of a run that has ended."""
    value = typed_json.object_of(_strict(data.decode()), "the run")
    if value.get("format") != FORMAT:
        raise ValueError(f"format {value.get('format')!r} is not {FORMAT}: update moat")
    facts = typed_json.read(Facts, value, ignore_unknown=True)
    _check_name(facts.name)
    if facts.state not in ENDED:
        raise ValueError(f"its state is {facts.state[:40]!r}, so it has not ended")
    if facts.exit_code is not None:
        _check_exit_code(facts.exit_code)
    if len(facts.error or "") > _LONGEST_ERROR:
        raise ValueError("its error is too long")
    for moment in (facts.started_at, facts.stopped_at):
        if moment is not None:
            _check_time(moment)
    return facts


# --- sessions ---


def session_record(data: bytes) -> bytes:
    """Return the record of a session, as Moat writes it."""
    record = typed_json.read(SessionRecord, _strict(data.decode()), ignore_unknown=True)
    if record.started_at:
        _check_time(record.started_at)
    return json.dumps(asdict(record)).encode()


def exit_status(data: bytes) -> bytes:
    """Return the exit status of a session."""
    code = typed_json.object_of(_strict(data.decode()), "an exit status").get("exit_code")
    if code is not None:
        _check_exit_code(code)
    return json.dumps({"exit_code": code}).encode()


def journal_index(data: bytes) -> tuple[Header, int]:
    """Return the header of a segment's index, and how often the size changes in it."""
    header = decode_header(data[:HEADER_SIZE])
    _check_offset(header.stdout)
    _check_offset(header.stderr)
    _check_size(header.size)
    resizes = 0
    for record in decode(data):
        if not 0 <= record.time <= _LATEST:
            raise ValueError("a time in the journal is none that Moat writes")
        if isinstance(record, Resized):
            resizes += 1
            _check_size(record.size)
            _check_offset(record.at)
        else:
            _check_offset(record.end)
    return header, resizes


# --- what happened, and what changed ---


def event(line: bytes) -> bytes:
    """Return an event as `moat events` reads it, with all of its fields."""
    given = typed_json.object_of(_strict(line.decode()), "an event")
    time, kind = given.pop("time", None), given.pop("event", None)
    _check_time(str(time))
    if kind not in _EVENTS:
        raise ValueError(f"there are no events of the kind {str(kind)[:40]!r}")
    known = asdict(typed_json.read(_EVENTS[kind], given, ignore_unknown=True))
    return json.dumps({"time": time, "event": kind} | known).encode() + b"\n"


def changes_of(data: bytes, contents: int) -> Changes:
    """Return the changes of a run, whose contents are in a pack of so many bytes."""
    changes = typed_json.read(Changes, _strict(data.decode()))
    for change in changes.changes:
        for side in (change.before, change.after):
            if side is not None:
                _check_side(side, contents)
    return changes


def _check_side(side: Side, contents: int) -> None:
    if not (0 <= side.mode < 1 << 16 and 0 <= side.size < _MOST):
        raise ValueError("a changed file has no such mode or size")
    if side.digest is not None and not _DIGEST.fullmatch(side.digest):
        raise ValueError("the digest of a changed file is none")
    if side.offset == NOT_KEPT:
        return
    if not (side.offset >= 0 and side.length >= 0 and side.offset + side.length <= contents):
        raise ValueError("the content of a changed file is beyond the end of the contents")


# --- values ---


def _strict(text: str) -> object:
    """Parse JSON, without the numbers that it doesn't have (NaN, Infinity)."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except UsageError as exc:
        raise ValueError(exc.summary) from exc


def _check_exit_code(code: object) -> None:
    if type(code) is not int or not 0 <= code <= 255:
        raise ValueError(f"{str(code)[:40]} is no exit code")


def _check_time(text: str) -> None:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None or not 0 <= moment.timestamp() <= _LATEST:
        raise ValueError(f"{text[:40]!r} is no time that Moat writes")


def _check_size(size: TerminalSize) -> None:
    if size != size.bounded():
        raise ValueError(f"a terminal of {size.columns} columns and {size.rows} rows")


def _check_offset(offset: int) -> None:
    if not 0 <= offset < _MOST:
        raise ValueError("an offset in the journal is beyond its end")
