"""The sessions of a run, as the store knows them: while they last, and ever after.

The supervisor records each `moat exec` before its command begins; the run's own command is in the run's
row. The exit status is the engine's to keep, in `RunFolder.exits`.
"""

# No postponed annotations: `typed_json` looks at them.
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moat import typed_json
from moat.atomic import replace_file
from moat.errors import StoreError, UsageError
from moat.paths import MAIN_SESSION, RunFolder
from moat.runs.store import Run, Store


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A further command of a run. The defaults are for those that earlier versions did not record."""

    command: tuple[str, ...] = ()
    tty: bool = False
    interactive: bool = True
    """Tells that the session was given input, which may come from any viewer that types."""
    started_at: str = ""
    error: str | None = None
    """The reason why the command never began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session, as listings show it."""

    run: Run
    name: str
    command: tuple[str, ...]
    tty: bool
    interactive: bool
    started_at: str | None
    state: str
    """`running`, `stopped`, `failed` or `lost`; of the run's own command the state of the run."""
    exit_code: int | None
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.run.ended if self.name == MAIN_SESSION else self.state != "running"

    @property
    def reference(self) -> str:
        """The words by which every command finds it."""
        return self.run.name if self.name == MAIN_SESSION else f"{self.run.name}/{self.name}"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "reference": self.reference,
            "state": self.state,
            "exit_code": self.exit_code,
            "error": self.error,
            "command": list(self.command),
            "tty": self.tty,
            "interactive": self.interactive,
            "started_at": self.started_at,
        }


def write(folder: RunFolder, name: str, record: SessionRecord) -> None:
    """Record a session. Raise `OSError`."""
    folder.sessions.mkdir(mode=0o700, exist_ok=True)
    replace_file(_path(folder, name), json.dumps(asdict(record)).encode(), durable=False)


def read(folder: RunFolder, name: str) -> SessionRecord:
    """Return the record of a further command, the defaults where there is none.

    Raise `StoreError` for one that is damaged.
    """
    path = _path(folder, name)
    try:
        value = typed_json.parse(path.read_bytes())
        return typed_json.read(SessionRecord, value, ignore_unknown=True)
    except FileNotFoundError:
        return SessionRecord()
    except (OSError, ValueError) as exc:
        raise StoreError(f"the record of session {name} can't be read: {exc}", str(path)) from exc


def find(store: Store, run: Run, name: str) -> Session:
    """Return a session of the run by its name. Raise `UsageError` where there is none."""
    if name == MAIN_SESSION:
        return _main(run)
    if name not in _names(store.folder(run.id)):
        raise UsageError(
            f"run {run.name} has no session {name!r}", "See them: moat list -a --sessions"
        )
    return _further(store, run, name)


def sessions(store: Store, run: Run) -> Iterator[Session]:
    """Yield the sessions of the run, oldest first."""
    yield _main(run)
    for name in _names(store.folder(run.id)):
        yield _further(store, run, name)


def _main(run: Run) -> Session:
    return Session(
        run=run,
        name=MAIN_SESSION,
        command=run.command,
        tty=run.tty,
        interactive=run.interactive,
        started_at=run.started_at,
        state=str(run.state),
        exit_code=run.exit_code,
        error=run.error,
    )


def _further(store: Store, run: Run, name: str) -> Session:
    folder = store.folder(run.id)
    record = read(folder, name)
    exit_code = _exit_code(folder, name)
    if record.error is not None:
        state = "failed"
    elif exit_code is not None:
        state = "stopped"
    else:
        state = "lost" if run.ended else "running"
    return Session(
        run=run,
        name=name,
        command=record.command,
        tty=record.tty,
        interactive=record.interactive,
        started_at=record.started_at or None,
        state=state,
        exit_code=exit_code,
        error=record.error,
    )


def _exit_code(folder: RunFolder, name: str) -> int | None:
    try:
        code: int | None = json.loads((folder.exits / f"{name}.json").read_bytes())["exit_code"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise StoreError(f"the exit status of session {name} can't be read: {exc}") from exc
    return code


def _names(folder: RunFolder) -> list[str]:
    """Return the names of further sessions. Those of earlier versions have only a journal."""
    recorded = {path.stem for path in _entries(folder.sessions) if path.suffix == ".json"}
    written = {path.name for path in _entries(folder.journal)}
    return sorted((recorded | written) - {MAIN_SESSION}, key=lambda name: (len(name), name))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _path(folder: RunFolder, name: str) -> Path:
    return folder.sessions / f"{name}.json"
