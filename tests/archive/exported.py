"""Runs that have ended, made by hand, and zip files of them."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

from moat.archive import writing
from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.schema import row_of
from moat.egress.traffic.versions import bring_up_to_date
from moat.event_stream import Stream
from moat.events import InputSent, Peer, StateChanged
from moat.runs.event_log import EventLog
from moat.runs.session_records import SessionRecord
from moat.runs.session_records import write as write_session
from moat.runs.states import State
from moat.runs.store import Store
from moat.session.journal.index import Appended, Header, encode, encode_header
from moat.session.journal.index import Stream as Output
from moat.spec import Network, RunId, RunSpec, TerminalSize
from moat.workspace import changes
from moat.workspace.changes import Change, Changes, Side

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ID = RunId("0123456789ab")
PASSWORD = "pa55-of-the-proxy"
TOKEN = "t0ken-of-the-user"
SPEC = RunSpec(
    id=ID,
    name="fix",
    command=("make",),
    workspace="/srv/app",
    created_at="2026-01-01T00:00:00.000Z",
    env={"TOKEN": TOKEN},
    network=Network(upstream_proxy=f"http://me:{PASSWORD}@proxy:3128"),
)


def ended_run(home: Path, spec: RunSpec = SPEC) -> None:
    """Make a run with something in each of its files."""
    with Store(home) as store:
        store.create(spec)
        folder = store.folder(spec.id)
        at = 1_767_225_600.0
        log = EventLog(folder.events)
        stream = Stream(lambda: at)
        stream.subscribe(log)
        stream.emit(StateChanged("running", "stopped", "command_exited", 3))
        stream.emit(InputSent("main", 4, Peer(0, 1)))
        log.close()
        journal = folder.journal / "main"
        journal.mkdir()
        (journal / "00000000.stdout").write_bytes(b"hello\n")
        index = encode_header(Header(0, 0, TerminalSize())) + encode(Appended(at, Output.STDOUT, 6))
        (journal / "00000000.index").write_bytes(index)
        (journal / "00000000.screen").write_bytes(b"the state of an emulator")
        (folder.exits / "main.json").write_text('{"exit_code": 3}')
        write_session(folder, "exec-1", SessionRecord(command=("ls",)))
        _record(folder.database, at)
        folder.changes.write_bytes(changes.dumps(CHANGES))
        folder.changed_contents.write_bytes(b"")
        folder.audit.write_bytes(b"moat-audit 1\nrun 0123456789ab\n")
        (folder.root / "ca.pem").write_text("-----BEGIN PRIVATE KEY-----")
        store.update(
            spec.id,
            state=State.STOPPED,
            exit_code=3,
            started_at="2026-01-01T00:00:01.000Z",
            stopped_at="2026-01-01T00:00:02.000Z",
        )


CHANGES = Changes("/srv/app", [Change("new.txt", None, Side(0o100644, 2, "ab" * 32))], ["a note"])


def _record(path: Path, at: float) -> None:
    entry = TrafficEntry("request", at)
    entry.id, entry.scheme, entry.method, entry.host = 1, "https", "GET", "example.com"
    entry.port, entry.path, entry.total, entry.status = 443, "/", 0.25, 200
    with closing(sqlite3.connect(path)) as db:
        bring_up_to_date(db, 0)
        row = row_of(entry)
        db.execute(f"INSERT INTO entries VALUES ({', '.join('?' * len(row))})", row)
        fields = '[["accept", "*/*"]]'
        db.execute(
            "INSERT INTO captures VALUES (1, ?, ?, NULL, ?, 4)", (fields, fields, b"\x00ok!")
        )
        db.commit()


def exported(home: Path) -> bytes:
    """Return the zip file of the run, made in a store of its own."""
    ended_run(home)
    with Store(home) as store:
        file = io.BytesIO()
        assert writing.write(file, store, store.get(ID))
        return file.getvalue()


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
