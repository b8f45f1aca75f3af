"""The request for a run's container, as the Docker API takes it. Pure.

The container has Moat's init and nothing else: no network, no capability, no secret, no variable of the
run. All that the command gets, it gets from the shim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.engines.container.init_program import FOLDER, INIT

if TYPE_CHECKING:
    from moat.spec import RunSpec

RUN_LABEL: Final = "moat.run"
HOME_LABEL: Final = "moat.home"
_NANO: Final = 1_000_000_000
_MOST_PROCESSES: Final = 4096


def container_name(run_id: str) -> str:
    return f"moat-{run_id}"


def create_body(
    spec: RunSpec, *, home: str, image: str, init_folder: str, hostname: str
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`.

    `home` is Moat's store, `image` the id of the image, `init_folder` has `init_program`'s two files.
    """
    limits = spec.limits
    host: dict[str, Any] = {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": limits.pids or _MOST_PROCESSES,
        "RestartPolicy": {"Name": "no"},
        "Mounts": [
            {"Type": "bind", "Source": init_folder, "Target": FOLDER, "ReadOnly": True},
        ],
    }
    if limits.memory is not None:
        # Both the same: what the container may not keep in memory doesn't go to the swap either.
        host |= {"Memory": limits.memory, "MemorySwap": limits.memory}
    if limits.cpus is not None:
        host["NanoCpus"] = int(limits.cpus * _NANO)
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


def is_init(arguments: bytes, run_id: str) -> bool:
    """Return whether a process with these `arguments` (`/proc/PID/cmdline`) is the init of a run."""
    return arguments == f"{FOLDER}/{INIT}\0{run_id}\0".encode()
