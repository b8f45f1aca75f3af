"""The services of a run: containers in the network of the run's own, made, found again, removed.

Their folder in the run's says that there may be some. It has the files that they are shown and, once
they are gone, the ends of their logs.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moat import atomic
from moat.engines.container import container, images, service_log
from moat.engines.container.api import DEADLINE_S, START_DEADLINE_S, CallRefusedError
from moat.engines.container.request import (
    HOME_LABEL,
    KEEPS_LABEL,
    RUN_LABEL,
    SERVICE_LABEL,
    service_body,
    service_name,
)
from moat.engines.container.states import Condition, ContainerState
from moat.engines.services import ServiceEndedError, ServiceState, how_it_ended
from moat.engines.trust_store import certificates
from moat.engines.under_shim.own_files import name_files
from moat.errors import EngineError
from moat.paths import moat_home
from moat.runs import project_folders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moat.engines.container.api import EngineAPI
    from moat.engines.container.container import Container
    from moat.paths import RunFolder
    from moat.spec import RunSpec, Service

log = logging.getLogger(__name__)

_NOT_FOUND: Final = 404
_STOP_S: Final = 10
"""Seconds that a service whose data lasts may take to end by itself."""
_KEPT_LINES: Final = 2000
_KEPT_BYTES: Final = 1 << 20
"""The end of a log that is kept once its container is gone."""


class ContainerServices:
    """Implements `engines.services.Services`."""

    def __init__(self, spec: RunSpec, folder: RunFolder) -> None:
        self._spec = spec
        self._folder = folder

    @property
    def _container(self) -> Container:
        found = container.recorded(self._folder)
        if found is None:
            raise EngineError("the run has no container")
        return found

    def prepare(self, services: Iterable[Service]) -> None:
        remove_all(self._folder)
        api = self._container.api
        missing = {each.image for each in services if images.inspect(api, each.image) is None}
        if missing:
            names = sorted(missing)
            raise EngineError(
                f"{api.name} has no image {' and no image '.join(names)}",
                f"get it: {'; '.join(f'{api.name} pull {each}' for each in names)}",
            )

    def start(
        self,
        service: Service,
        env: Mapping[str, str],
        files: Mapping[str, str],
        authority: bytes,
    ) -> int:
        api = self._container.api
        name = service_name(self._spec.id, service.name)
        if service.volume is not None:
            _prepare_volume(service, self._spec.workspace)
        body = service_body(
            self._spec,
            service,
            home=str(moat_home()),
            image=images.describe(api, service.image)["Id"],
            env={**certificates.variables(), **env},
            files=self._write_files(service.name, files, authority),
        )
        api.call("POST", f"/containers/create?name={name}", body, deadline=START_DEADLINE_S)
        api.call("POST", f"/containers/{name}/start", deadline=START_DEADLINE_S)
        found = self.find(service.name)
        if found is None:
            raise ServiceEndedError(how_it_ended(self.ended(service.name)))
        return found

    def _write_files(self, name: str, files: Mapping[str, str], authority: bytes) -> dict[str, str]:
        """Write the files of a service; return their paths here by those in its container."""
        raw = self._spec.network.tcp or self._spec.network.passthrough
        trust = certificates.for_image(authority, intercepts_all=not raw)
        contents = {f"/etc/{path}": text.encode() for path, text in name_files(self._spec).items()}
        contents |= {f"/etc/{path}": content for path, content in trust.files.items()}
        contents |= {path: text.encode() for path, text in files.items()}
        folder = _folder(self._folder) / name
        folder.mkdir(mode=0o700, parents=True)
        places: dict[str, str] = {}
        for number, (path, content) in enumerate(contents.items()):
            place = folder / str(number)
            place.write_bytes(content)
            place.chmod(0o444)  # a service reads it as a user of its own; nobody else gets this far
            places[path] = str(place)
        return places

    def find(self, name: str) -> int | None:
        known = self._state(name)
        if known is None or known.pid is None:
            return None
        try:
            found = os.pidfd_open(known.pid)
        except OSError:
            return None
        # If it still has this process id, then no other process has got it before it was opened.
        again = self._state(name)
        if again is None or again.pid != known.pid:
            os.close(found)
            return None
        return found

    def ended(self, name: str) -> ServiceState | None:
        return self._state(name, has_ended=True)

    def _state(self, name: str, *, has_ended: bool = False) -> ServiceState | None:
        path = f"/containers/{service_name(self._spec.id, name)}"
        api = self._container.api
        try:
            if has_ended:  # Podman learns of it later than who watches the process
                api.call("POST", f"{path}/wait?condition=not-running")
            description = api.call("GET", f"{path}/json")
        except CallRefusedError as exc:
            if exc.status == _NOT_FOUND:
                return None
            raise
        found = ContainerState.of(description)
        runs = found.condition in {Condition.RUNNING, Condition.PAUSED}
        pid = found.pid if runs else None
        return ServiceState(pid, found.exit_code, found.out_of_memory)

    def log(self, name: str, lines: int | None = None) -> bytes:
        try:
            return _log(self._container.api, service_name(self._spec.id, name), lines)
        except EngineError:
            kept = _kept_log(self._folder, name)
            if not kept.exists():
                raise
            return kept.read_bytes()


def remove_all(folder: RunFolder) -> None:
    """Remove all services of a run, and keep the ends of their logs. Raises `EngineError`."""
    known = container.recorded(folder)
    services = _folder(folder)
    if known is None or not services.exists():
        return
    for name, labels in _made(known.api, folder.root.name):
        if labels.get(KEEPS_LABEL):
            _stop(known.api, name)
        _keep_log(known.api, name, _kept_log(folder, labels[SERVICE_LABEL]))
        container.remove(known.api, name)
    for each in services.iterdir():
        if each.is_dir():
            shutil.rmtree(each)


def _folder(folder: RunFolder) -> Path:
    return folder.root / "services"


def _prepare_volume(service: Service, workspace: str) -> None:
    assert service.volume is not None  # noqa: S101  the caller has looked
    try:
        project_folders.prepare(Path(service.volume.folder), workspace)
    except OSError as exc:
        raise EngineError(
            f"the volume {service.volume.name} can't be used: {exc.strerror}",
            f"Look at {service.volume.folder}, or remove it: moat volume rm {service.volume.name}",
        ) from exc


def _made(api: EngineAPI, run_id: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names and labels of a run's services. Labels alone say nothing: images have some."""
    filters = quote(json.dumps({"label": [f"{RUN_LABEL}={run_id}"]}))
    found: list[dict[str, Any]] = api.call("GET", f"/containers/json?all=true&filters={filters}")
    for each in found:
        labels: dict[str, str] = each.get("Labels") or {}
        name = each["Names"][0].lstrip("/")
        own = labels.get(HOME_LABEL) == str(moat_home())
        if own and name == service_name(run_id, labels.get(SERVICE_LABEL, "")):
            yield name, labels


def _stop(api: EngineAPI, name: str) -> None:
    """Have a service write its data before it ends. Logs."""
    try:
        path = f"/containers/{name}/stop?t={_STOP_S}"
        api.call("POST", path, deadline=DEADLINE_S + _STOP_S)
    except EngineError as exc:
        log.info("service %s: %s", name, exc.summary)


def _keep_log(api: EngineAPI, name: str, place: Path) -> None:
    """Keep the end of a log; a service whose log can't be had is removed all the same. Logs."""
    try:
        content = _log(api, name, _KEPT_LINES)[-_KEPT_BYTES:]
        atomic.replace_file(place, content, durable=False)
    except (EngineError, OSError) as exc:
        log.warning("the log of service %s was not kept: %s", name, exc)


def _kept_log(folder: RunFolder, service: str) -> Path:
    return _folder(folder) / f"{service}.log"


def _log(api: EngineAPI, name: str, lines: int | None) -> bytes:
    tail = "all" if lines is None else lines
    path = f"/containers/{name}/logs?stdout=true&stderr=true&tail={tail}"
    return service_log.content(api.read(path))
