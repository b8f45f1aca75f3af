"""The passwords of services: random, made when a run starts, and in no file but the store's own.

One of a service whose data lasts is kept beside its volume, since the data goes by it from then on.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.atomic import replace_file
from moat.errors import StoreError
from moat.runs import json_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.paths import RunFolder
    from moat.spec import Service, ServiceVolume

_OF_RUN: Final = "services.json"
_OF_VOLUMES: Final = ".passwords.json"
"""No volume has a name that begins with a dot."""
_BYTES: Final = 16


def make(folder: RunFolder, services: Iterable[Service]) -> dict[str, str]:
    """Return a password for each service of a run, by its name. Raises `StoreError`."""
    made = {each.name: _new(each.volume) for each in services}
    try:
        replace_file(folder.root / _OF_RUN, json.dumps(made).encode(), durable=False)
    except OSError as exc:
        raise StoreError(
            f"the passwords of services can't be written: {exc.strerror}", str(folder.root)
        ) from exc
    return made


def made(folder: RunFolder) -> dict[str, str]:
    """Return the passwords that `make` has made for a run. Raises `StoreError`."""
    return json_file.read(folder.root / _OF_RUN)


def forget(folder: RunFolder) -> None:
    """Delete the passwords of a run, which has ended."""
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
