"""The runs of one `MOAT_HOME`: a row for each in the index, and a folder.

Readers don't write: a listing leaves every row as it found it. Commits are announced to followers
(`platform.commits`). A statement that fails raises `StoreError`; no failure is ignored.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from moat.errors import RunNotFoundError, StoreError
from moat.paths import RunFolder, moat_home
from moat.platform import commits
from moat.runs import index, private_folder, unfinished, unwitnessed
from moat.runs.census import DISK_USE, PER_STATE, Census
from moat.runs.index import damaged, reported, stored, unique, valid
from moat.runs.own_folder import own_folder
from moat.runs.rmtree import empty_folder
from moat.runs.states import ENDED, State

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from moat.spec import RunId, RunSpec


class Run(NamedTuple):
    """A row of the index, which is what a listing shows. Each field is the column of that name.

    It is no dataclass: to load `dataclasses` takes longer than to list a hundred runs.
    """

    id: RunId
    name: str
    state: State
    exit_code: int | None
    error: str | None
    engine: str
    command: tuple[str, ...]
    workspace: str
    interactive: bool
    tty: bool
    created_at: str
    started_at: str | None
    stopped_at: str | None
    pid: int | None
    supervisor_pid: int | None
    supervisor_version: str | None
    viewers: int
    waiting: str
    waits_for: str
    """The user's act that the run waits for; empty where it waits for nobody."""
    imported_at: str | None
    """The time at which the run came here as a file: all of it is a stranger's claim."""
    ports: tuple[dict[str, Any], ...]
    """The published ports, while they are open: name, port, address, host_port, url."""
    engine_data: dict[str, Any]
    """The engine's own description of its sandbox; see `engines.engine.Engine.data`."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def as_json(self) -> dict[str, Any]:
        """Return the public shape of a run, as `list --json` and `inspect` print it."""
        return {
            "id": self.id,
            "name": self.name,
            "state": str(self.state),
            "exit_code": self.exit_code,
            "error": self.error,
            "engine": self.engine,
            "command": list(self.command),
            "workspace": self.workspace,
            "interactive": self.interactive,
            "tty": self.tty,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "stopped_at": self.stopped_at,
            "viewers": self.viewers,
            "waiting": self.waiting.split(),
            "ports": list(self.ports),
            "waits_for": self.waits_for or None,
            "imported_at": self.imported_at,
            "supervisor": {"pid": self.supervisor_pid, "version": self.supervisor_version},
            "pid": self.pid,
        } | self.engine_data


class Store:
    """The runs of one `MOAT_HOME`. A context manager, because it owns a database connection."""

    def __init__(self, home: Path | None = None) -> None:
        """Open the store, and make it where there is none. Raises `StoreError`."""
        self.home = home or moat_home()
        own_folder(self.home)
        self._path = self.home / "moat.db"
        self._db = index.connect(self._path)
        # What can't be finished (a store that is read-only) is left as it is, and `moat list` says so.
        with suppress(OSError, StoreError):
            unfinished.finish(self.home, self._has_row, self.discard)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.home / "runs" / run_id)

    # --- what the creator of a run calls ---

    def create(self, spec: RunSpec) -> Run:
        """Add the folder, the specification and the row; see `begin` and `add` for the errors."""
        with self.begin(spec):
            self.add(spec)
        return self.get(spec.id)

    @contextmanager
    def begin(self, spec: RunSpec) -> Generator[RunFolder]:
        """Make the folder of a run, for which `add` is to be called. Raises `StoreError`.

        Where this is left by an exception, nothing of the run is left. Nor is there, once the store is
        opened again, after this process was killed before the row was there.
        """
        folder = self.folder(spec.id)
        with (
            reported(f"run {spec.name} can't be written"),
            unfinished.Mark(self.home, spec.id) as mark,
        ):
            if folder.root.exists():  # nobody else makes it: the mark is ours
                mark.clear()
                raise StoreError(f"a run with the id {spec.id} is in the store already")
            try:
                folder.root.parent.mkdir(mode=0o700, exist_ok=True)
                for each in (folder.root, folder.journal, folder.private, folder.exits):
                    each.mkdir(mode=0o700)
                yield folder
            except BaseException:
                self.discard(spec.id)
                mark.clear()
                raise
            mark.clear()
            commits.announce(self._path)

    def add(self, spec: RunSpec) -> None:
        """Add the specification and the row, in this order: a row always has its spec.

        Raises `NameTakenError`; then another name can be tried.
        """
        from moat.spec import codec  # noqa: PLC0415  loads slowly, and most commands need no spec

        path = self.folder(spec.id).spec
        path.unlink(missing_ok=True)
        _write_durably(path, codec.dumps(spec))
        self.insert(spec)

    def insert(self, spec: RunSpec, **columns: object) -> None:
        """Add the row alone, unannounced, with further columns. Raises `NameTakenError`."""
        row: dict[str, object] = {
            "id": spec.id,
            "name": spec.name,
            "state": State.CREATED,
            "engine": spec.engine,
            "command": json.dumps([valid(word) for word in spec.command]),
            "workspace": spec.workspace,
            "interactive": spec.interactive,
            "tty": spec.tty,
            "created_at": spec.created_at,
        } | columns
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        with unique(spec.name):
            self._db.execute(
                f"INSERT INTO runs ({names}) VALUES ({marks})",  # noqa: S608  columns are ours
                list(map(stored, row.values())),
            )

    def rename_ended(self, run_id: str, name: str) -> None:
        """Give a run that has ended another name. Raises `NameTakenError`.

        One that hasn't ended is left as it is: its supervisor and its viewers know the name.
        """
        marks = ", ".join("?" * len(ENDED))
        with unique(name), reported("the index of runs can't be used"):
            self._db.execute(
                f"UPDATE runs SET name = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608  marks
                (name, run_id, *sorted(ENDED)),
            )

    # --- halves ---

    def without_folder(self, runs: Iterable[Run]) -> list[Run]:
        """Return those whose folder is gone: somebody has deleted it."""
        folders = self._folders()
        gone = [run for run in runs if run.id not in folders]
        return [run for run in gone if self._has_row(run.id)]  # it may have been removed meanwhile

    def without_row(self) -> list[str]:
        """Return the ids of folders that belong to no run, such as those of a lost index."""
        folders = self._folders()
        marks = unfinished.marks(self.home)  # a run that is being made has its row last
        loose = folders - marks
        if loose:
            loose -= self.ids()
        return sorted(each for each in loose if self.folder(each).root.exists())

    def _folders(self) -> set[str]:
        with reported(f"the store {self.home} can't be read"):
            try:
                return set(os.listdir(self.home / "runs"))  # noqa: PTH208  there may be thousands
            except FileNotFoundError:
                return set()

    def _has_row(self, run_id: str) -> bool:
        return bool(self._execute("SELECT 1 FROM runs WHERE id = ?", run_id))

    # --- reading ---

    def get(self, run_id: str) -> Run:
        """Return a run by its id. Raises `RunNotFoundError`."""
        rows = self._select("WHERE id = ?", run_id)
        if not rows:
            raise RunNotFoundError(f"no run {run_id}", "See them: moat list -a")
        return rows[0]

    def find(self, reference: str | None) -> Run:
        """Return a run by id, name or unique prefix of an id, or the newest run without a reference.

        Raises `RunNotFoundError`.
        """
        if reference is None:
            rows = self._select("ORDER BY created_at DESC, id DESC LIMIT 1")
            if not rows:
                raise RunNotFoundError("there is no run yet", "Start one: moat run -- COMMAND")
            return rows[0]
        rows = self._select("WHERE name = ? OR id = ?", reference, reference)
        if not rows and reference:
            rows = self._with_prefix(reference)
        if not rows:
            raise RunNotFoundError(f"no run {reference!r}", "See them: moat list -a")
        if len(rows) > 1:
            candidates = ", ".join(f"{run.id} ({run.name})" for run in rows[:8])
            raise RunNotFoundError(f"{reference!r} fits {len(rows)} runs: {candidates}")
        return rows[0]

    def _with_prefix(self, prefix: str) -> list[Run]:
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return self._select("WHERE id LIKE ? ESCAPE '\\' ORDER BY created_at DESC", f"{escaped}%")

    def all(self, *, ended: bool = True) -> list[Run]:
        """Return the runs, newest first, with or without those that have ended."""
        if ended:
            return self._select("ORDER BY created_at DESC, id DESC")
        marks = ", ".join("?" * len(ENDED))
        return self._select(
            f"WHERE state NOT IN ({marks}) ORDER BY created_at DESC, id DESC", *sorted(ENDED)
        )

    def newest_active(self) -> Run:
        """Return the newest run that hasn't ended, or else the newest of all."""
        active = self.all(ended=False)
        return active[0] if active else self.find(None)

    def spec(self, run_id: str) -> RunSpec:
        """Return a run's specification. Raises `StoreError` where the file is missing or damaged."""
        from moat.spec import codec  # noqa: PLC0415  see `add`

        path = self.folder(run_id).spec
        try:
            return codec.loads(path.read_text())
        except (OSError, ValueError) as exc:
            raise StoreError(
                f"the specification of run {run_id} can't be read: {exc}",
                f"Update moat if a newer one began the run, or remove it: moat destroy {run_id}",
            ) from exc

    # --- what the supervisor of a run calls ---

    def update(self, run_id: str, **changed: object) -> None:
        """Write columns of one run in one transaction. Only the run's supervisor calls this."""
        assignments = ", ".join(f"{column} = ?" for column in changed)
        self._write(f"UPDATE runs SET {assignments} WHERE id = ?", *changed.values(), run_id)  # noqa: S608  columns are ours

    def remove(self, run_id: str) -> None:
        """Remove a run, to which nobody writes any more; see the three steps."""
        self.empty(run_id)
        with self.mark(run_id) as mark:
            self.forget([run_id])
            self.discard(run_id)
            mark.clear()

    def mark(self, run_id: str) -> unfinished.Mark:
        """Return the mark that a run has between `forget` and `discard`. Raises `StoreError`."""
        with reported(f"run {run_id} can't be removed"):
            return unfinished.Mark(self.home, run_id)

    def empty(self, run_id: str) -> None:
        """Delete what the sandbox wrote, while the run can still be named should that fail.

        Like `discard`, it leaves the index alone, so any thread may call it.
        """
        with reported(f"the folder of run {run_id} can't be removed"):
            folder = self.folder(run_id)
            private_folder.empty(folder)
            if folder.copy.exists():
                empty_folder(folder.copy)

    def forget(self, run_ids: Sequence[str]) -> None:
        """Delete rows, all in one transaction: before the folders, so no row is without its folder."""
        if run_ids:
            marks = ", ".join("?" * len(run_ids))
            self._write(f"DELETE FROM runs WHERE id IN ({marks})", *run_ids)  # noqa: S608  marks

    def discard(self, run_id: str) -> None:
        """Delete the folder of a run without a row.

        It is renamed first, so that no process finds half of it or puts a lock into it.
        """
        folder = self.folder(run_id)
        going = self.home / f"removed-{run_id}"
        with reported(f"the folder of run {run_id} can't be removed"):
            if folder.root.exists():
                folder.root.rename(going)
            (self.home / "heads" / run_id).unlink(missing_ok=True)
            unwitnessed.mark_path(self.home, run_id).unlink(missing_ok=True)
            if going.exists():
                empty_folder(going)
                going.rmdir()

    # --- sums ---

    def census(self) -> list[Census]:
        """Return what is known of the runs in each state."""
        return [Census(*row) for row in self._execute(PER_STATE)]

    def ids(self) -> set[str]:
        return {run_id for (run_id,) in self._execute("SELECT id FROM runs")}

    def disk_use(self) -> dict[str, int | None]:
        """Return the bytes that each run takes, as its supervisor measured them at its end."""
        return dict(self._execute(DISK_USE))

    # --- SQL ---

    def _select(self, rest: str, *values: object) -> list[Run]:
        rows = self._execute(f"SELECT {_COLUMNS} FROM runs {rest}", *values)  # noqa: S608  constants
        try:
            return [_run(row) for row in rows]
        except (KeyError, TypeError, ValueError) as exc:
            raise damaged("the index of runs can't be used", exc) from exc

    def _write(self, sql: str, *values: object) -> None:
        self._execute(sql, *values)
        with reported("the index of runs can't be used"):
            commits.announce(self._path)

    def _execute(self, sql: str, *values: object) -> Iterable[tuple[Any, ...]]:
        known = [stored(value) for value in values]
        with reported("the index of runs can't be used"):
            return self._db.execute(sql, known).fetchall()


_COLUMNS = ", ".join(Run._fields)
_STATES = {str(state): state for state in State}


def _run(row: tuple[Any, ...]) -> Run:
    # By position: to replace fields by name takes three times as long, and a listing has thousands.
    return Run._make(
        (
            *row[:2],
            _STATES[row[2]],
            *row[3:6],
            tuple(json.loads(row[6])),
            row[7],
            bool(row[8]),
            bool(row[9]),
            *row[10:-2],
            () if row[-2] == "[]" else tuple(json.loads(row[-2])),
            {} if row[-1] == "{}" else json.loads(row[-1]),
        )
    )


def _write_durably(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
