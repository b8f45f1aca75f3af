"""What is kept of a run's services: their passwords, and whose end has been told.

Passwords are random, made when a run starts, and in no file but the store's own. One of a service whose
data lasts is kept beside its volume, since the data goes by it from then on.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from moat import typed_json
from moat.atomic import replace_file
from moat.errors import StoreError
from moat.paths import RunFolder
from moat.runs import json_file
from moat.spec import Service, ServiceVolume

_OF_RUN: Final = "services.json"
_OF_VOLUMES: Final = ".passwords.json"
"""No volume has a name that begins with a dot."""
_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class ServiceRecords:
    """The records of a run's services."""

    passwords: Mapping[str, str]
    """Passwords by the names of the services."""
    ended: tuple[str, ...] = ()
    """The names of those whose end was told."""


def make(folder: RunFolder, services: Iterable[Service]) -> ServiceRecords:
    """Make a password for each service of a run. Raises `StoreError`."""
    made = ServiceRecords({each.name: _new(each.volume) for each in services})
    _write(folder, made)
    return made


def read(folder: RunFolder) -> ServiceRecords:
    """Return the records of a run, whose services have been started. Raises `StoreError`."""
    path = folder.root / _OF_RUN
    content = json_file.read(path)
    try:
        return typed_json.read(ServiceRecords, content)
    except ValueError as exc:
        raise json_file.unreadable(path, exc) from exc


def note_end(folder: RunFolder, name: str) -> None:
    """Note that the end of a service was told. Raises `StoreError`."""
    known = read(folder)
    _write(folder, replace(known, ended=(*known.ended, name)))


def _write(folder: RunFolder, records: ServiceRecords) -> None:
    try:
        replace_file(folder.root / _OF_RUN, json.dumps(asdict(records)).encode(), durable=False)
    except OSError as exc:
        raise StoreError(
            f"the records of services can't be written: {exc.strerror}", str(folder.root)
        ) from exc


def forget(folder: RunFolder) -> None:
    """Delete the records of a run, which has ended."""
    (folder.root / _OF_RUN).unlink(missing_ok=True)


def forget_volume(volume: Path) -> None:
    """Delete the password of a volume, which is removed. Raises `StoreError`."""
    path = volume.with_name(_OF_VOLUMES)
    if path.exists():
        with json_file.changing(path, "the passwords of volumes") as known:
            known.pop(volume.name, None)


def _new(volume: ServiceVolume | None) -> str:
    if volume is None:
        return secrets.token_hex(_BYTES)
    path = Path(volume.folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with json_file.changing(path.with_name(_OF_VOLUMES), "the passwords of volumes") as known:
        return known.setdefault(path.name, secrets.token_hex(_BYTES))
