"""Where engines are looked for, without looking."""

from __future__ import annotations

import json

import pytest

from moat.engines.container.endpoints import (
    Endpoint,
    chosen,
    context_endpoint,
    context_file,
    context_name,
    usual,
)


def test_the_users_variable_is_each_engines_own() -> None:
    """Podman doesn't follow Docker's variable, nor the other way round."""
    variables = {"DOCKER_HOST": "unix:///run/d.sock", "CONTAINER_HOST": "ssh://far/p.sock"}
    assert chosen("docker", variables) == Endpoint("unix:///run/d.sock", "DOCKER_HOST")
    assert chosen("podman", variables) == Endpoint("ssh://far/p.sock", "CONTAINER_HOST")
    assert chosen("docker", {"DOCKER_HOST": ""}) is None


@pytest.mark.parametrize(
    ("address", "socket"),
    [
        ("unix:///run/d.sock", "/run/d.sock"),
        ("/run/d.sock", "/run/d.sock"),
        ("tcp://10.0.0.1:2376", None),
        ("ssh://me@far", None),
    ],
)
def test_only_an_engine_of_this_machine_has_a_socket(address: str, socket: str | None) -> None:
    """The others can't be entered."""
    assert Endpoint(address, "somewhere").socket == socket


@pytest.mark.parametrize(
    ("variables", "config", "name"),
    [
        ({}, "", None),
        ({}, "{}", None),
        ({}, '{"currentContext": "default"}', None),
        ({}, '{"currentContext": "colima"}', "colima"),
        ({"DOCKER_CONTEXT": "mine"}, '{"currentContext": "colima"}', "mine"),
        ({"DOCKER_CONTEXT": "default"}, '{"currentContext": "colima"}', None),
    ],
)
def test_the_context_in_use(variables: dict[str, str], config: str, name: str | None) -> None:
    """The variable wins over the file, and the default context is none."""
    assert context_name(variables, config) == name


@pytest.mark.parametrize(
    ("config", "problem"),
    [("[]", "no JSON object"), ("{", "Expecting"), ('{"currentContext": 1}', "is no name")],
)
def test_a_broken_file_is_an_error(config: str, problem: str) -> None:
    """Another engine than the user's would be taken otherwise."""
    with pytest.raises(ValueError, match=problem):
        context_name({}, config)


def test_a_context_names_its_host() -> None:
    """The file's name is that of Docker's own store."""
    digest = "37a8eec1ce19687d132fe29051dca629d164e2c4958ba141d5f4133a33f0688f"
    assert context_file("default") == f"contexts/meta/{digest}/meta.json"
    described = json.dumps({"Endpoints": {"docker": {"Host": "unix:///home/me/c.sock"}}})
    assert context_endpoint("colima", described) == Endpoint(
        "unix:///home/me/c.sock", "Docker's context colima"
    )


@pytest.mark.parametrize("text", ["{}", '{"Endpoints": {"docker": {"Host": 1}}}'])
def test_a_context_without_a_host_is_an_error(text: str) -> None:
    """Nothing is guessed in its place."""
    with pytest.raises(ValueError, match="names no host"):
        context_endpoint("x", text)


def test_the_usual_places() -> None:
    """The system's own engine comes first, then those of the user."""
    variables = {"XDG_RUNTIME_DIR": "/run/user/7"}
    docker = [each.socket for each in usual("docker", variables, "/home/me")]
    assert docker[:2] == ["/var/run/docker.sock", "/run/user/7/docker.sock"]
    assert "/home/me/.colima/default/docker.sock" in docker
    podman = [each.socket for each in usual("podman", variables, "/home/me")]
    assert podman == ["/run/podman/podman.sock", "/run/user/7/podman/podman.sock"]
    assert len(usual("podman", {}, "/home/me")) == 1
    assert usual("docker", {}, "/home/me")[1].why == "Docker Desktop"
