"""The image that a run is to have, by its options, the project's file and the settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moat.config import agent_file
from moat.config.certificates import CertificateFile
from moat.config.compile import HostContext, RunOptions
from moat.config.creation import create_run
from moat.config.run_image import ImageRequest, base_image, image_request
from moat.config.settings import Settings
from moat.config.settings import load as load_settings
from moat.errors import UsageError
from moat.runs.store import Store
from moat.spec.dependency import Dependency

JQ, NODE = Dependency("", "jq"), Dependency("", "node", "22")


def request(
    file: dict[str, Any] | None = None, settings: Settings | None = None, **options: Any
) -> ImageRequest | None:
    return image_request(RunOptions(**options), settings or Settings(), file or {})


def test_nothing_is_made_without_dependencies() -> None:
    """An image alone is taken as it is."""
    assert request(image="debian:stable") is None
    assert base_image(RunOptions(), Settings(), {}) == ""
    assert base_image(RunOptions(), Settings(), {"base_image": "a"}) == "a"
    assert base_image(RunOptions(image="b"), Settings(), {"base_image": "a"}) == "b"


def test_dependencies_choose_docker_and_a_base() -> None:
    """Those of the command line come in addition to the project's."""
    found = request({"dependencies": ["node@22"]}, dependencies=("jq",))
    assert found == ImageRequest("docker", "debian:stable-slim", (NODE, JQ))


def test_what_the_user_says_of_base_and_engine_holds() -> None:
    """The command line before the project, that before the settings."""
    settings = Settings(build={"base_image": "mine:1"})
    file = {"dependencies": ["jq"]}
    assert request(file, settings) == ImageRequest("docker", "mine:1", (JQ,))
    assert request({**file, "base_image": "its:1"}, settings, engine="podman") == ImageRequest(
        "podman", "its:1", (JQ,)
    )
    found = request({**file, "base_image": "its:1"}, settings, image="this:1", rebuild=True)
    assert found is not None
    assert (found.base, found.rebuild) == ("this:1", True)


def test_settings_of_the_build() -> None:
    """Network, proxy and authorities are the user's alone."""
    authorities = CertificateFile(Path("/ca.pem"), ("one", "two"))
    settings = Settings(
        build={"network": "host", "proxy": "http://p:1"}, network={"upstream_ca": authorities}
    )
    found = request({"dependencies": ["jq"]}, settings)
    assert found == ImageRequest(
        "docker", "debian:stable-slim", (JQ,), "host", "http://p:1", "one\ntwo\n"
    )


def test_bubblewrap_installs_nothing() -> None:
    """Who asks for it gets no silent lack of what was asked for."""
    with pytest.raises(UsageError, match="bubblewrap installs no dependencies"):
        request({"dependencies": ["jq"]}, engine="bubblewrap")


def test_mistakes() -> None:
    """They are found before anything exists."""
    with pytest.raises(UsageError, match="'-y' is no dependency"):
        request(dependencies=("-y",))
    with pytest.raises(UsageError, match="no dependencies to make an image of"):
        request(rebuild=True)
    with pytest.raises(UsageError, match="there is no engine 'lxc'"):
        request(dependencies=("jq",), engine="lxc")


def test_the_file_says_which_line_is_wrong(tmp_path: Path) -> None:
    """And what a dependency opens is agreed to one by one."""
    file = tmp_path / "agent.yaml"
    file.write_text("command: [x]\ndependencies:\n  - node@22\n  - npm:--global\n")
    with pytest.raises(UsageError, match=r"agent\.yaml:4: dependencies: 'npm:--global' is no"):
        agent_file.load(file)
    file.write_text("dependencies: [node@22, 'npm:x']\n")
    opened = [str(line.value) for line in agent_file.load(file).openings if line.opens]
    assert opened == ["node@22", "npm:x"]


@pytest.mark.parametrize("proxy", ["p:1", "http://you:secret@p:1", "socks5://p:1", "http://p/x y"])
def test_a_proxy_that_is_none_or_has_a_password(tmp_path: Path, proxy: str) -> None:
    """A build is given no secret."""
    (tmp_path / "config.yaml").write_text(f"build: {{proxy: '{proxy}'}}\n")
    with pytest.raises(UsageError, match=r"config\.yaml:1: proxy: .* without a password"):
        load_settings(tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


class Maker:
    """A maker of images that has one."""

    def __init__(self) -> None:
        self.requests: list[ImageRequest] = []

    def __call__(self, request: ImageRequest) -> str:
        self.requests.append(request)
        return "localhost/moat/run:1"


def test_a_run_gets_the_image_that_was_made(tmp_path: Path, project: Path) -> None:
    """It is made last: what fails before it fails at once."""
    maker = Maker()
    host = HostContext(images=maker)
    options = RunOptions(path=str(project), command=("x",), dependencies=("jq",))
    with Store(tmp_path / "home") as store:
        with pytest.raises(UsageError, match="can't be the name"):
            create_run(store, replace(options, name="-"), Settings(), host)
        assert maker.requests == []
        spec = store.spec(create_run(store, options, Settings(), host).id)
    assert (spec.engine, spec.container.image) == ("docker", "localhost/moat/run:1")
    assert maker.requests == [ImageRequest("docker", "debian:stable-slim", (JQ,))]


def test_a_program_that_makes_no_images(tmp_path: Path, project: Path) -> None:
    """Nothing is started without what was asked for."""
    options = RunOptions(path=str(project), command=("x",), dependencies=("jq",))
    with Store(tmp_path / "home") as store, pytest.raises(UsageError, match="can't make images"):
        create_run(store, options, Settings(), HostContext())
