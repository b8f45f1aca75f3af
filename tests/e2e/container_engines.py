"""Docker Engine and Podman for the tests, each with a socket and data of its own.

They are started for the first test that needs one and shared by all workers. Each worker holds a shared
lock; whoever can make it exclusive in the end is the last, and stops the engine. Another lock is held by
the one that starts or stops it.
`dockerd` gets a network namespace of its own, so it can't touch the bridges of another one.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import pytest

from moat.engines.container.api import EngineAPI, EngineSilentError
from moat.shim import linux

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NAMES: Final = ("docker", "podman")
IMAGE: Final = "moat-test"
_IMAGES: Final = Path(__file__).parents[2] / ".venv" / "images"
BASE: Final = _IMAGES / "base.tar"
SERVICES: Final = _IMAGES / "services.tar"
"""Debian with PostgreSQL and Redis, their clients, and an entrypoint like that of official images."""
APT_BASE: Final = _IMAGES / "apt.tar"
"""Debian as its users know it, with apt and pip."""
_PATIENCE_S: Final = 120.0
_VARIABLES: Final = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}

# The kernels of build machines often mount both versions of cgroups, which crun refuses.
_PODMAN_SETTINGS: Final = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""


@dataclass(frozen=True)
class ContainerEngine:
    """An engine that answers on a socket and has the image `IMAGE`."""

    name: str
    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def api(self) -> EngineAPI:
        return EngineAPI(str(self.socket), self.name)

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `moat run`."""
        return ("--engine", self.name, "--image", IMAGE)

    @property
    def environment(self) -> Mapping[str, str]:
        return {_VARIABLES[self.name]: f"unix://{self.socket}"}

    def containers(self, home: Path) -> list[str]:
        """The names of the containers of a store."""
        filters = json.dumps({"label": [f"moat.home={home}"]})
        found: list[dict[str, Any]] = self.api.call(
            "GET", f"/containers/json?all=true&filters={filters.replace(' ', '')}"
        )
        return [name.lstrip("/") for each in found for name in each["Names"]]

    def start(self) -> None:
        """Start the engine, and return when it answers."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "containers.conf").write_text(_PODMAN_SETTINGS)
        command = [str(word) for word in self._command()]
        log = str(self.folder / "log")
        pid = os.posix_spawnp(
            command[0],
            command,
            {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        (self.folder / "pid").write_text(str(pid))
        self._wait(pid)

    def _command(self) -> list[str | Path]:
        if self.name == "docker":
            return [
                *("unshare", "--net", "--", "dockerd", "--live-restore", "--bridge", "none"),
                *("--iptables=false", "--ip6tables=false", "--host", f"unix://{self.socket}"),
                *("--data-root", self.folder / "data", "--exec-root", self.folder / "exec"),
                *("--pidfile", self.folder / "daemon.pid"),
            ]
        return [
            *("podman", "--root", self.folder / "data", "--runroot", self.folder / "exec"),
            *("system", "service", "--time", "0", f"unix://{self.socket}"),
        ]

    def _wait(self, pid: int) -> None:
        """Look again and again: a socket has its name before it listens, and nothing tells of that."""
        ended = os.pidfd_open(pid)
        deadline = time.monotonic() + _PATIENCE_S
        try:
            while not self._answers():
                if select.select([ended], [], [], 0.05)[0] or time.monotonic() > deadline:
                    pytest.fail(f"{self.name}: {(self.folder / 'log').read_text()[-2000:]}")
        finally:
            os.close(ended)

    def _answers(self) -> bool:
        try:
            self.api.call("GET", "/info", deadline=_PATIENCE_S)
        except EngineSilentError:
            return False
        return True

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def kill(self, number: int = signal.SIGTERM) -> None:
        """Signal the engine, and return when it has ended."""
        _end(self.pid, number)
        with suppress(ChildProcessError):  # another worker's child
            os.waitpid(self.pid, 0)

    def stop(self) -> None:
        """End the engine, and delete all that it has."""
        if not self.folder.exists():
            return
        with suppress(ProcessLookupError):  # the test has killed it
            self.kill()
        self._end_orphans()
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([each for each in mounts if each.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(self.folder)

    def _end_orphans(self) -> None:
        """End what a killed engine has left of its containers: nobody else would, or unmount them."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
                if f"{self.folder}/".encode() in (process / "cmdline").read_bytes():
                    _end(int(process.name))

    def load_files(self, image: str, files: Mapping[str, bytes], links: Mapping[str, str]) -> None:
        """Make an image of busybox and these executable `files`; `links` maps paths to their targets."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            everything = {"bin/busybox": Path("/bin/busybox").read_bytes(), **files}
            for path, data in everything.items():
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(data), 0o755
                archive.addfile(member, io.BytesIO(data))
            applets = {f"bin/{name}": "busybox" for name in ("sh", "cat", "sleep", "ls", "id")}
            for path, target in {**applets, **links}.items():
                member = tarfile.TarInfo(path)
                member.type, member.linkname = tarfile.SYMTYPE, target
                archive.addfile(member)
        subprocess.run(
            [*self.client, "import", "-", image],
            input=content.getvalue(),
            check=True,
            capture_output=True,
        )

    @property
    def client(self) -> list[str]:
        """The beginning of a command of the engine's own client."""
        socket = f"unix://{self.socket}"
        return (
            ["docker", "--host", socket] if self.name == "docker" else ["podman", "--url", socket]
        )

    def load_image(
        self, image: str = IMAGE, content: Path = BASE, changes: Sequence[str] = ()
    ) -> None:
        """Import the image of the tests, or another one that `make` has made.

        `changes` are lines of a Dockerfile.
        """
        if not content.exists():
            pytest.fail(f"there is no {content}: make .venv/images/ready", pytrace=False)
        options = [word for each in changes for word in ("--change", each)]
        self._do("import", *options, content, image)

    def load_image_once(
        self, image: str, content: Path, changes: Sequence[str] = (), names: Sequence[str] = ()
    ) -> None:
        """Import an image unless a test has done so: imported again, it would be another one.

        `names` are further ones of it.
        """
        with _lock(self.folder, "images") as images:
            fcntl.flock(images, fcntl.LOCK_EX)
            listed: list[dict[str, Any]] = self.api.call("GET", "/images/json")
            if f"{image}:latest" not in str(listed):
                self.load_image(image, content, changes)
                for name in names:
                    self._do("tag", image, name)

    def _do(self, *words: str | Path) -> None:
        subprocess.run([*self.client, *words], check=True, capture_output=True)

    def listen(self) -> socket.socket:
        """Return a socket that listens on the loopback of the engine's network namespace."""
        with ThreadPoolExecutor(1) as elsewhere:  # a namespace is a thread's own
            return elsewhere.submit(self._listen).result()

    def _listen(self) -> socket.socket:
        namespace = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            linux.setns(namespace, linux.CLONE_NEWNET)
        finally:
            os.close(namespace)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return socket.create_server(("127.0.0.1", 0))


def _end(pid: int, number: int = signal.SIGKILL) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, number)
        if not select.select([pidfd], [], [], _PATIENCE_S)[0]:
            pytest.fail(f"process {pid} has not ended on signal {number}")
    finally:
        os.close(pidfd)


@contextmanager
def shared(name: str, run: str) -> Iterator[ContainerEngine]:
    """The engine of that name, for all workers of a test run."""
    folder = Path(f"/tmp/moat-engines-{run}-{name}")
    engine = ContainerEngine(name, folder)
    with _lock(folder, "users") as users:
        with _lock(folder, "change") as change:
            fcntl.flock(change, fcntl.LOCK_EX)
            if not (folder / "ready").exists():
                engine.start()
                engine.load_image()
                (folder / "ready").touch()
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield engine
        finally:
            with _lock(folder, "change") as change:
                fcntl.flock(change, fcntl.LOCK_EX)
                with suppress(BlockingIOError):  # another worker goes on with it
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    engine.stop()


def _lock(folder: Path, name: str) -> TextIO:
    return folder.with_name(f"{folder.name}.{name}").open("a")
