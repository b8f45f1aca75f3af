"""Services as files and options ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.document import read
from moat.config.services import (
    FIELD,
    MOST_SERVICES,
    ServiceRequest,
    check_image_name,
    check_together,
    joined,
    parse,
    ready_fields,
)
from moat.errors import UsageError
from moat.spec import Service, ServiceVolume

if TYPE_CHECKING:
    from pathlib import Path


def parsed(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return read(path, {"services": FIELD})["services"]


def test_the_short_forms(tmp_path: Path) -> None:
    """A kind with its version, a kind by another name, or the name alone."""
    asked = parsed(tmp_path, "services: { db: postgres@16, cache: { use: redis }, minio: }\n")
    assert joined({}, asked, ()) == (
        ServiceRequest(name="db", kind="postgres", version="16"),
        ServiceRequest(name="cache", kind="redis"),
        ServiceRequest(name="minio", kind="minio"),
    )


def test_all_fields(tmp_path: Path) -> None:
    """Any image, with all that can be said of it."""
    asked = parsed(
        tmp_path,
        "services:\n  search:\n    image: open/search:2\n    ports: [9200, 9300]\n"
        "    env: { TOKEN: '{password}' }\n    command: serve --on '0.0.0.0'\n    volume: data:/data\n"
        "    url: http://{host}:{port}\n    memory: 1g\n"
        "    ready: { protocol: http, port: 9300, path: /up, timeout: 2m }\n",
    )
    (found,) = joined({}, asked, ())
    assert found == ServiceRequest(
        name="search",
        image="open/search:2",
        ports=(9200, 9300),
        env={"TOKEN": "{password}"},
        command=("serve", "--on", "0.0.0.0"),
        volume="data:/data",
        url="http://{host}:{port}",
        memory=1 << 30,
        ready={"protocol": "http", "port": 9300, "path": "/up", "timeout": 120.0},
    )
    assert ready_fields({}) == {}


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("Db: redis", "no name of lower-case letters"),
        ("localhost: redis", "can't be called localhost"),
        ("db: postgres:16", "no name of lower-case letters"),
        ("db: postgres@", "no version"),
        ("db: postgres@1/2", "no version"),
        ("db: { image: x }", "ports are missing"),
        ("db: { image: 'x y', ports: [1] }", "no reference of an image"),
        ("db: { use: redis, ports: [0] }", "not a port"),
        ("db: { use: redis, ports: [99999] }", "not a port"),
        ("db: { use: redis, ports: [443] }", "leads to Moat's own proxy"),
        ("db: { use: redis, env: { 'A=B': x } }", "not the name of a variable"),
        ("db: { use: redis, command: [x, '{password}'] }", "everybody on this machine"),
        ("db: { use: redis, volume: ../x }", "name of a volume"),
        ("db: { use: redis, volume: 'x:y' }", "not a plain absolute path"),
        ("db: { use: redis, memory: much }", "not an amount of memory"),
        ("db: { use: redis, ready: { timeout: 0s } }", "not more than zero"),
        ("db: { use: redis, ready: { path: 'x y' } }", "no path of a URL"),
        ("db: { use: redis, privileged: true }", "unknown field"),
        ("db: [redis]", "map of fields"),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, service: str, said: str) -> None:
    """Nothing is guessed, and no container gets more than the table has."""
    with pytest.raises(UsageError, match=said) as caught:
        parsed(tmp_path, f"services:\n  {service}\n")
    assert "some.yaml:2" in caught.value.summary


def test_options_come_before_files() -> None:
    """By name, and the project's before the user's."""
    own = {"a": {"use": "redis@5"}, "b": {"use": "redis@5"}, "c": {"use": "redis@5"}}
    project = {"b": {"use": "redis@6"}, "c": {"use": "redis@6"}}
    found = joined(own, project, ["c=redis@7", "postgres"])
    assert {each.name: each.version for each in found} == {
        "a": "5",
        "b": "6",
        "c": "7",
        "postgres": "",
    }


@pytest.mark.parametrize(
    "text", ["", "=redis", "x=", "X=redis", "redis@", "a b", "localhost=redis"]
)
def test_an_option_that_is_none(text: str) -> None:
    """The error says how it is written."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "postgres@17" in (caught.value.hint or "")


@given(text=st.text(max_size=30))
def test_no_text_is_more_than_a_usage_error(text: str) -> None:
    """Whatever is given, a name can lead nowhere."""
    try:
        found = parse(text)
    except UsageError:
        return
    assert "/" not in found.name + found.kind + found.version


def test_bounds() -> None:
    """Two of one name, and more than a run has room for."""
    with pytest.raises(UsageError, match="two services are called redis"):
        joined({}, {}, ["redis", "redis@6"])
    with pytest.raises(UsageError, match=f"{MOST_SERVICES} services at most"):
        joined({}, {f"s{number}": {"use": "redis"} for number in range(MOST_SERVICES + 1)}, ())


def test_what_cannot_be_had_together() -> None:
    """They share one network, and data is one server's."""
    volume = ServiceVolume(name="v", target="/data", folder="/volumes/v")
    one = Service(name="one", image="x", ports=(1000,), volume=volume)
    check_together([one, Service(name="two", image="x", ports=(1001,))])
    with pytest.raises(UsageError, match="one and two both have port 1000"):
        check_together([one, Service(name="two", image="x", ports=(1001, 1000))])
    with pytest.raises(UsageError, match="one and two have the same volume"):
        check_together([one, Service(name="two", image="x", ports=(1001,), volume=volume)])


def test_an_image_without_a_tag() -> None:
    """In an entry of the registry the version is the tag."""
    check_image_name("registry.example.com:5000/my/image")
    for wrong in ("image:1", "image@sha256:00", "my image"):
        with pytest.raises(ValueError):
            check_image_name(wrong)
