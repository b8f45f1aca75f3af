"""Images made of dependencies by real engines, with packages of Debian, PyPI and npm."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.e2e.container_engines import APT_BASE, NAMES, ContainerEngine
from tests.forward_proxy import ForwardProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat

BUILD_S: Final = 600.0
"""The time for a build, which fetches packages."""
pytestmark = [
    pytest.mark.parametrize("engine", NAMES, indirect=True),
    pytest.mark.timeout(3 * BUILD_S),
]

BASE: Final = "moat-test-apt"
AUTHORITIES: Final = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
MADE: Final = "moat: making an image"


def write_settings(moat: Moat, proxy: str) -> None:
    """Settings of a user behind a proxy, whose engine gives builds no network."""
    moat.write_settings(
        "trust_project: always\n"
        f"network: {{upstream_ca: {AUTHORITIES}}}\n"
        f"build: {{base_image: {BASE}, network: host, proxy: '{proxy}'}}\n"
    )


@pytest.fixture
def internet(moat: Moat, engine: ContainerEngine) -> Iterator[None]:
    """A base image, and settings with which builds reach the registries that this machine reaches."""
    engine.load_image_once(BASE, APT_BASE)
    with ForwardProxy(engine.listen()) as proxy:
        write_settings(moat, proxy.url)
        yield


def run(moat: Moat, engine: ContainerEngine, *words: str) -> subprocess.CompletedProcess[str]:
    return moat("run", "--engine", engine.name, *words, timeout=BUILD_S)


def images(engine: ContainerEngine) -> list[dict[str, Any]]:
    """All images of this test's kind that have a name, whoever made them."""
    found = engine.api.call("GET", "/images/json")
    return [each for each in found if "localhost/moat/run" in str(each["RepoTags"])]


DEPENDENCIES: Final = {
    "docker": (
        ("jq", "npm:semver@7"),
        "jq -n 1+1 && node --version && semver 1.2.3",
        ["2", "v22.", "1.2.3"],
    ),
    "podman": (
        ("jq", "pip:cowsay@6"),
        "jq -n 1+1 && python3 -c 'import cowsay; print(cowsay.__version__)' && cowsay -t hi",
        ["2", "6."],
    ),
}


@pytest.mark.usefixtures("internet")
def test_a_run_has_what_it_depends_on(moat: Moat, engine: ContainerEngine) -> None:
    """Programs work in its sandbox, a second start makes nothing, and prune removes what isn't used."""
    dependencies, script, shown = DEPENDENCIES[engine.name]
    (moat.workspace / "agent.yaml").write_text(f"dependencies: {json.dumps(dependencies)}\n")
    (moat.workspace / "secret").write_text("the workspace is no part of a build")
    first = run(moat, engine, "--", "sh", "-c", script)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert all(line.startswith(each) for line, each in zip(lines, shown, strict=False)), lines
    assert MADE in first.stderr

    (made,) = moat.json("deps", "images", "--json")
    assert made["dependencies"] == sorted(dependencies)
    assert moat.inspect(moat.runs()[0]["id"])["container"]["image"]
    again = run(moat, engine, "-d", "-n", "again", "--", "sleep", "1000")
    assert again.returncode == 0, again.stderr
    assert MADE not in again.stderr

    assert made["image"] not in moat("prune", "--images", "--yes").stderr
    moat.ok("kill", "again")
    moat.ok("wait", "again")
    assert f"removed the image {made['image']}" in moat("prune", "--images", "--yes").stderr
    assert made["image"] not in str(images(engine))
    assert engine.api.call("GET", f"/images/{BASE}/json")


@pytest.mark.usefixtures("internet")
def test_what_can_not_be_had(moat: Moat, engine: ContainerEngine) -> None:
    """The error says what there is, nothing is started, and nothing has the image's name."""
    done = run(moat, engine, "--dep", "pip:cowsay@99", "--", "true")
    assert done.returncode == 125
    assert "the image can't be made: pip can't install cowsay==99.*" in done.stderr
    assert "(from versions: " in done.stderr
    assert moat.runs() == []
    assert moat.json("deps", "images", "--json") == []


def test_an_interrupted_build_leaves_nothing(moat: Moat, own: ContainerEngine) -> None:
    """Neither a container nor an image with the name, once its step has ended; nothing was started."""
    own.load_image(BASE, APT_BASE)
    moat.environment |= own.environment
    with own.listen() as silent:
        silent.settimeout(TIMEOUT_S)
        write_settings(moat, f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = moat.start("run", "--engine", own.name, "--dep", "tree", "--", "true")
        fetching, _ = silent.accept()  # the step is at work, and apt waits for an answer
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
        fetching.close()
    assert process.returncode == 130
    deadline = time.monotonic() + TIMEOUT_S
    while containers_of_builds(own) != "":  # nothing tells when a build has ended
        assert time.monotonic() < deadline
        select.select([], [], [], 0.1)
    assert images(own) == []
    assert moat.runs() == []


def containers_of_builds(engine: ContainerEngine) -> str | None:
    """All containers, those of Podman's builder among them; `None` if one went while it listed them."""
    more = ("--external",) if engine.name == "podman" else ()
    words = [*engine.client, "ps", "--all", "--quiet", *more]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None
