"""Images made of dependencies by real engines, with packages of Debian, PyPI and npm."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.e2e.conftest import TIMEOUT_S
from tests.e2e.container_engines import APT_BASE, NAMES, ContainerEngine
from tests.forward_proxy import ForwardProxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat

pytestmark = pytest.mark.parametrize("engine", NAMES, indirect=True)

BASE: Final = "moat-test-apt"
AUTHORITIES: Final = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
BUILD_S: Final = 280.0
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
    engine.load_image(BASE, APT_BASE)
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
        ("jq", "pip:cowsay@6"),
        "jq -n 1+1 && python3 -c 'import cowsay; print(cowsay.__version__)' && cowsay -t hi",
        ["2", "6."],
    ),
    "podman": (
        ("jq", "npm:left-pad@1"),
        "jq -n 1+1 && node --version && node -p \"require('/usr/local/lib/node_modules/left-pad')(7, 3)\"",
        ["2", "v22.", "  7"],
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
    before = images(engine)
    done = run(moat, engine, "--dep", "python@3.99", "--", "true")
    assert done.returncode == 125
    assert "python@3.99 can't be had here: there is 3." in done.stderr
    assert moat.runs() == []
    assert images(engine) == before


def test_an_interrupted_build_leaves_nothing(moat: Moat, engine: ContainerEngine) -> None:
    """Neither a container nor a name; the next start makes the image."""
    engine.load_image(BASE, APT_BASE)
    before = images(engine)
    with ExitStack() as stack:
        silent = stack.enter_context(engine.listen())
        write_settings(moat, f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = moat.start("run", "--engine", engine.name, "--dep", "tree", "--", "true")
        silent.settimeout(TIMEOUT_S)
        fetching, _ = silent.accept()  # apt waits for an answer
        stack.enter_context(fetching)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 130
        process.communicate()
        with gone(engine):
            pass
    assert moat.runs() == []
    assert images(engine) == before
