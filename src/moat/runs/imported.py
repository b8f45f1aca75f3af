"""The mark of a run that came here as a file, beside its specification.

It has what the run's row says, so that a rebuilt index doesn't take such a run for one that goes on.
"""

# No postponed annotations: `typed_json` looks at them.
import json
from dataclasses import asdict, dataclass
from typing import Any

from moat import typed_json
from moat.atomic import replace_file
from moat.errors import MoatError
from moat.paths import RunFolder
from moat.runs.states import ENDED, State
from moat.runs.store import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The facts of an ended run that nobody here has seen running."""

    imported_at: str
    state: str
    exit_code: int | None
    error: str | None
    started_at: str | None
    stopped_at: str | None
    masked: bool = False
    """Values were taken out of the specification, so it isn't what the audit log commits to."""

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the run's row."""
        known = asdict(self) | {"state": State(self.state)}
        del known["masked"]
        return known


def write(folder: RunFolder, imported: Imported) -> None:
    """Write the mark. Raise `OSError`."""
    replace_file(folder.imported, json.dumps(asdict(imported)).encode(), durable=True)


def read(folder: RunFolder) -> Imported | None:
    """Return the mark of a run; `None`: it began here. Raise `OSError` and `ValueError`."""
    try:
        data = folder.imported.read_bytes()
    except FileNotFoundError:
        return None
    imported = typed_json.read(Imported, typed_json.parse(data))
    if imported.state not in ENDED:
        raise ValueError(f"an imported run can't be {imported.state}")
    return imported


def check_own(run: Run, purpose: str) -> None:
    """Raise `MoatError` for a run that was imported: paths in it are of another machine."""
    if run.imported_at is not None:
        raise MoatError(
            f"run {run.name} was imported: {purpose}",
            "Look at it: moat diff, logs, replay, trace, audit",
        )
