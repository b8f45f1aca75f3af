"""Images of runs: found, made, or refused; the engine is one that answers as the test says."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from moat.client import images as run_images
from moat.client.images import RunImages
from moat.config.run_image import ImageRequest
from moat.engines.container.api import CallRefusedError, EngineAPI
from moat.engines.container.build import BuildFailedError
from moat.engines.container.images import reference_of
from moat.errors import EngineError, UsageError
from moat.runs import lock
from moat.spec.dependency import Dependency

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

REQUEST = ImageRequest("docker", "debian:stable-slim", (Dependency("", "jq"),))


class Engine(EngineAPI):
    """An engine that has a base image, and builds what it is told to."""

    def __init__(self) -> None:
        super().__init__("/nowhere", "docker")
        self.images: dict[str, dict[str, Any]] = {
            "debian:stable-slim": {"Id": "sha256:0123", "RepoTags": ["debian:stable-slim"]}
        }
        self.output = [{"stream": "Step 5/5 : RUN x\n"}, {"stream": "fetching\n"}]
        self.builds: list[str] = []
        self.removed: list[str] = []

    def call(self, method: str, path: str, *_: object, **__: object) -> Any:
        name = path.removeprefix("/images/").removesuffix("/json")
        if method == "DELETE":
            self.removed.append(name)
            return None
        if name not in self.images:
            raise CallRefusedError(404, "docker: no such image")
        return self.images[name]

    def send(self, path: str, archive: bytes, *, patience: float) -> Generator[bytes]:
        assert archive
        assert patience
        self.builds.append(path)
        yield "".join(json.dumps(each) + "\n" for each in self.output).encode()
        if "error" in self.output[-1]:
            return
        number = len(self.builds)
        name = path.partition("t=")[2].partition("&")[0].replace("%2F", "/").replace("%3A", ":")
        if name in self.images:  # another one has the name now
            before = self.images[name]
            self.images[before["Id"]] = {**before, "RepoTags": []}
        self.images[name] = {"Id": f"sha256:{number}", "RepoTags": [name]}


class Shown:
    """What the user was shown."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.waiting = threading.Event()

    def waits(self) -> None:
        self.waiting.set()

    def begins(self, titles: Sequence[str]) -> None:
        self.said.append(list(titles))

    def step(self, number: int) -> None:
        self.said.append(number)

    def line(self, text: str) -> None:
        self.said.append(text)

    def fails(self, last_lines: Sequence[str]) -> None:
        self.said.append(("failed", *last_lines))

    def ends(self) -> None:
        self.said.append("end")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(run_images, "connect", lambda *_: engine)
    monkeypatch.setattr(run_images, "require_root", lambda _: None)
    return engine


def test_an_image_is_made_once(tmp_path: Path, engine: Engine) -> None:
    """The next start finds it; what was shown are its steps."""
    shown = Shown()
    first = RunImages(tmp_path, shown)(REQUEST)
    assert first.startswith("localhost/moat/run:")
    assert shown.said == [["jq"], 0, "fetching", "end"]
    assert RunImages(tmp_path)(REQUEST) == first
    assert len(engine.builds) == 1
    assert RunImages(tmp_path)(REQUEST._replace(dependencies=(Dependency("", "git"),))) != first


def test_an_image_is_made_anew(tmp_path: Path, engine: Engine) -> None:
    """It takes the name, and what had it is removed."""
    first = RunImages(tmp_path)(REQUEST)
    assert RunImages(tmp_path)(REQUEST._replace(rebuild=True)) == first
    assert "nocache=true" in engine.builds[1]
    assert engine.removed == ["sha256:1"]


def test_one_builds_and_another_waits(tmp_path: Path, engine: Engine) -> None:
    """Two starts at once make one image."""
    held = lock.try_lock(tmp_path / "images.lock")
    assert held is not None
    shown = Shown()
    made: list[str] = []
    thread = threading.Thread(target=lambda: made.append(RunImages(tmp_path, shown)(REQUEST)))
    thread.start()
    assert shown.waiting.wait(60)
    steps = run_images.steps_of(REQUEST.dependencies, tmp_path)
    name = reference_of(run_images.recipe_of("0123", steps).name)
    engine.images[name] = {"Id": "sha256:9", "RepoTags": [name]}
    os.close(held)
    thread.join()
    assert made == [name]
    assert engine.builds == []


def test_a_build_that_fails(tmp_path: Path, engine: Engine) -> None:
    """Its last lines are shown, and nothing more."""
    engine.output.append({"error": "exit status 1"})
    shown = Shown()
    with pytest.raises(BuildFailedError):
        RunImages(tmp_path, shown)(REQUEST)
    assert shown.said[-2:] == [("failed", "fetching"), "end"]
    with pytest.raises(BuildFailedError):
        RunImages(tmp_path)(REQUEST)


def test_an_engine_that_has_nothing_afterwards(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is started from what isn't there."""
    monkeypatch.setattr(run_images, "build", lambda *_: None)
    with pytest.raises(EngineError, match="and doesn't have it"):
        RunImages(tmp_path)(REQUEST)


def test_a_base_that_is_missing(tmp_path: Path, engine: Engine) -> None:
    """Moat fetches none, and says how to."""
    with pytest.raises(UsageError, match="docker has no image mine:1") as caught:
        RunImages(tmp_path)(REQUEST._replace(base="mine:1"))
    assert "docker pull mine:1" in (caught.value.hint or "")


def test_a_name_that_is_not_known(tmp_path: Path, engine: Engine) -> None:
    """The engine isn't asked for anything."""
    with pytest.raises(UsageError, match="there is no dependency 'nodejs'") as caught:
        RunImages(tmp_path)(REQUEST._replace(dependencies=(Dependency("", "nodejs"),)))
    assert caught.value.hint == "Did you mean node?"
    assert engine.builds == []
