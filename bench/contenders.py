"""The programs that are compared: each keeps a program's terminal and shows it again on attach."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

MOAT = str(Path(sys.executable).with_name("moat"))
IMAGE = "busybox:local"
# The place at which each of them sees the folder of the benchmark.
INSIDE = "/workspace"


@dataclass(frozen=True)
class Place:
    """The benchmark's own folder, so that the user's settings and servers play no part."""

    root: Path

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "MOAT_HOME": str(self.root / "home"),
            "DOCKER_HOST": os.environ.get("DOCKER_HOST", ""),
        }

    def run(self, *argv: str) -> str:
        """Return the standard output of a command that must succeed."""
        done = subprocess.run(
            argv, cwd=self.work, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class Contender(Protocol):
    name: str
    paints: bool
    """Attaching shows the screen. Without this, only later output is seen."""

    def start(self, script: str) -> str: ...
    def attach(self, session: str) -> Sequence[str]: ...
    def end(self, session: str) -> None: ...


class Moat:
    name = "moat"
    paints = True

    def __init__(self, place: Place) -> None:
        self._place = place

    def start(self, script: str) -> str:
        name = _new_name()
        self._place.run(MOAT, "run", "-d", "-i", "-t", "-n", name, "--", *_shell(script, INSIDE))
        return name

    def attach(self, session: str) -> Sequence[str]:
        return (MOAT, "attach", session)

    def end(self, session: str) -> None:
        self._place.run(MOAT, "destroy", "--force", session)


class Tmux:
    name = "tmux"
    paints = True

    def __init__(self, place: Place) -> None:
        self._place = place
        self._tmux = ("tmux", "-S", str(place.root / "tmux"), "-f", "/dev/null")

    def start(self, script: str) -> str:
        name = _new_name()
        start = ("new-session", "-d", "-s", name, "-x", "80", "-y", "24")
        self._place.run(*self._tmux, *start, *_shell(script, str(self._place.work)))
        # The clock in the status line would be additional output.
        self._place.run(*self._tmux, "set", "-g", "status", "off")
        return name

    def attach(self, session: str) -> Sequence[str]:
        return (*self._tmux, "attach", "-t", session)

    def end(self, session: str) -> None:
        self._place.run(*self._tmux, "kill-session", "-t", session)


class Dtach:
    name = "dtach"
    paints = False

    def __init__(self, place: Place) -> None:
        self._place = place

    def start(self, script: str) -> str:
        socket = str(self._place.root / _new_name())
        script = f"echo $$ >{socket}.pid; {script}"
        self._place.run("dtach", "-n", socket, "-r", "none", *_shell(script, str(self._place.work)))
        return socket

    def attach(self, session: str) -> Sequence[str]:
        return ("dtach", "-a", session, "-r", "none")

    def end(self, session: str) -> None:
        """Do nothing: dtach has no command for this, and ends with its program."""
        os.kill(int(Path(f"{session}.pid").read_text()), signal.SIGKILL)


class Docker:
    name = "docker"
    paints = False

    def __init__(self, place: Place) -> None:
        self._place = place

    def start(self, script: str) -> str:
        volume = f"{self._place.work}:{INSIDE}"
        run = ("docker", "run", "-d", "-i", "-t", "--network", "none", "-v", volume, IMAGE)
        return self._place.run(*run, *_shell(script, INSIDE)).strip()

    def attach(self, session: str) -> Sequence[str]:
        return ("docker", "attach", "--sig-proxy=false", session)

    def end(self, session: str) -> None:
        self._place.run("docker", "rm", "-f", session)


def contenders(place: Place) -> list[Contender]:
    """Return the programs that this machine has, and name the missing ones on stderr."""
    found: list[Contender] = [Moat(place)]
    for kind in (Tmux, Dtach):
        if shutil.which(kind.name):
            found.append(kind(place))
        else:
            sys.stderr.write(f"no {kind.name} here: its column stays empty\n")
    if has_docker(place):
        found.append(Docker(place))
    return found


def has_docker(place: Place) -> bool:
    """Return whether the Docker engine answers. Build the image if there is none."""
    try:
        place.run("docker", "version")
        if not place.run("docker", "images", "-q", IMAGE).strip():
            _make_image(place)
    except (FileNotFoundError, RuntimeError) as exc:
        sys.stderr.write(f"no docker here, its column stays empty: {exc}\n")
        return False
    return True


def _make_image(place: Place) -> None:
    root = place.root / "image"
    (root / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("no busybox to make an image of (package busybox-static)")
    shutil.copy(busybox, root / "bin/busybox")
    for applet in ("sh", "cat", "true", "sleep"):
        (root / "bin" / applet).symlink_to("busybox")
    place.run("sh", "-c", f"tar -C {root} -c . | docker import - {IMAGE}")


def _shell(script: str, folder: str) -> tuple[str, ...]:
    """Return the command with the programs of busybox, which are the same everywhere."""
    return ("busybox", "sh", "-c", f"cd {folder}; {script}")


def _new_name() -> str:
    return f"bench-{uuid.uuid4().hex[:8]}"
