"""The requests for a run's containers, as the Docker API takes them. Pure.

The run's own has Moat's init and nothing else: no network, no capability, no secret, no variable of the
run. All that the command gets, it gets from the shim. Those of its services have their image's programs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from moat.engines.container.init_program import FOLDER, INIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.spec import Limits, RunSpec, Service

RUN_LABEL: Final = "moat.run"
HOME_LABEL: Final = "moat.home"
SERVICE_LABEL: Final = "moat.service"
KEEPS_LABEL: Final = "moat.keeps"
"""The label of a service whose data lasts, and which is asked to end before it is killed."""

_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
"""The capabilities that the entrypoints of official images need: they make a folder a user's, and become
that user. The command of a run has none."""
_LOG_SIZE: Final = "10m"
_NANO: Final = 1_000_000_000
_MOST_PROCESSES: Final = 4096


def container_name(run_id: str) -> str:
    return f"moat-{run_id}"


def service_name(run_id: str, service: str) -> str:
    return f"{container_name(run_id)}-{service}"


def create_body(
    spec: RunSpec, *, home: str, image: str, init_folder: str, hostname: str
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`.

    `home` is Moat's store, `image` the id of the image, `init_folder` has `init_program`'s two files.
    """
    host = {
        **_host_config(spec.limits),
        "NetworkMode": "none",
        "Mounts": [_mount(init_folder, FOLDER, read_only=True)],
    }
    return {
        "Image": image,
        "Entrypoint": [f"{FOLDER}/{INIT}"],
        "Cmd": [spec.id],
        "User": "0:0",
        "Hostname": hostname,
        "WorkingDir": "/",
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {RUN_LABEL: spec.id, HOME_LABEL: home},
        "HostConfig": host,
    }


def service_body(
    spec: RunSpec,
    service: Service,
    *,
    home: str,
    image: str,
    env: Mapping[str, str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Return the body of `POST /containers/create` for a service, in the network of the run's container.

    `files` maps paths in the container to those of this machine.
    """
    limits = replace(spec.limits, memory=service.memory or spec.limits.memory)
    mounts = [_mount(path, target, read_only=True) for target, path in files.items()]
    labels = {RUN_LABEL: spec.id, HOME_LABEL: home, SERVICE_LABEL: service.name}
    if service.volume is not None:
        mounts.append(_mount(service.volume.folder, service.volume.target, read_only=False))
        labels[KEEPS_LABEL] = "true"
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={text}" for name, text in env.items()],
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": labels,
        "HostConfig": {
            **_host_config(limits),
            "CapAdd": list(_CAPABILITIES),
            "NetworkMode": f"container:{container_name(spec.id)}",
            "Mounts": mounts,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": _LOG_SIZE}},
        },
    }
    if service.command:
        body["Cmd"] = list(service.command)
    return body


def _host_config(limits: Limits) -> dict[str, Any]:
    config: dict[str, Any] = {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": limits.pids or _MOST_PROCESSES,
        "RestartPolicy": {"Name": "no"},
    }
    if limits.memory is not None:
        # Both the same: what the container may not keep in memory doesn't go to the swap either.
        config |= {"Memory": limits.memory, "MemorySwap": limits.memory}
    if limits.cpus is not None:
        config["NanoCpus"] = int(limits.cpus * _NANO)
    return config


def _mount(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


def is_init(arguments: bytes, run_id: str) -> bool:
    """Return whether a process with these `arguments` (`/proc/PID/cmdline`) is the init of a run."""
    return arguments == f"{FOLDER}/{INIT}\0{run_id}\0".encode()
