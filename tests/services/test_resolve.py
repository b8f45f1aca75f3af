"""Services that were asked for, made complete, and their passwords."""

from __future__ import annotations

import pytest

from moat.config.services import ServiceRequest
from moat.errors import UsageError
from moat.services.entry import Entry
from moat.services.resolve import resolve
from moat.services.variables import as_json, filled
from moat.spec import Readiness, Service, ServiceVolume

ENTRY = Entry(
    id="db",
    title="A database",
    image="library/db",
    default="3",
    ports=(5000, 5001),
    env={"DB_USER": "moat", "DB_PASSWORD": "{password}"},
    command=("serve",),
    files={"/etc/db.conf": "secret {password}\n"},
    data="/data",
    variables={"URL": "db://{DB_USER}:{DB_PASSWORD}@{host}:{port}/{unknown}", "USER": "{DB_USER}"},
    ready=Readiness(protocol="redis", timeout=90.0),
)


def resolved(**fields: object) -> Service:
    request = ServiceRequest(**{"name": "main", **fields})  # type: ignore[arg-type]
    return resolve(request, {"db": ENTRY}.__getitem__, lambda name: f"/volumes/{name}")


def test_an_entry_says_all_that_was_not_asked_for() -> None:
    """The version is the image's tag."""
    assert resolved(kind="db") == Service(
        name="main",
        image="library/db:3",
        kind="db",
        ports=ENTRY.ports,
        env=ENTRY.env,
        command=ENTRY.command,
        files=ENTRY.files,
        variables=ENTRY.variables,
        ready=ENTRY.ready,
    )


def test_what_was_asked_for_comes_first() -> None:
    """Each field by itself; variables of the service are added to the entry's."""
    found = resolved(
        kind="db",
        version="4",
        env={"DB_USER": "me"},
        command=("other",),
        ports=(6000,),
        volume="kept",
        url="x://{host}",
        ready={"timeout": 5.0},
        memory=1,
    )
    assert found.image == "library/db:4"
    assert found.env == {"DB_USER": "me", "DB_PASSWORD": "{password}"}
    assert (found.command, found.ports, found.memory) == (("other",), (6000,), 1)
    assert found.volume == ServiceVolume(name="kept", target="/data", folder="/volumes/kept")
    assert found.variables["URL"] == "x://{host}"
    assert found.ready == Readiness(protocol="redis", timeout=5.0)
    assert resolved(kind="db", image="mine/db:x", version="4").image == "mine/db:x"


def test_any_image() -> None:
    """It gets a URL, and a password where it names one."""
    found = resolved(image="web:1", ports=(8000,), ready={"protocol": "http"})
    assert (found.image, found.kind, found.variables) == (
        "web:1",
        "",
        {"URL": "http://{host}:{port}"},
    )
    other = resolved(image="x:1", ports=(8000,), env={"A": "b{password}"}, volume="v:/var/x")
    assert other.variables == {"URL": "tcp://{host}:{port}", "PASSWORD": "{password}"}
    assert other.volume == ServiceVolume(name="v", target="/var/x", folder="/volumes/v")
    with pytest.raises(UsageError, match="where it keeps its data"):
        resolved(image="x:1", ports=(8000,), volume="v")


def test_a_password_is_filled_in() -> None:
    """Into the service's variables and files, and into what the run's commands get."""
    service = resolved(name="main-db", kind="db", env={"DB_USER": "a@b"})
    texts = filled(service, "s3cret")
    assert texts.env == {"DB_USER": "a@b", "DB_PASSWORD": "s3cret"}
    assert texts.files == {"/etc/db.conf": "secret s3cret\n"}
    assert service.variables_prefix == "MOAT_MAIN_DB_"
    assert texts.variables == {
        "HOST": "127.0.0.1",
        "PORT": "5000",
        "URL": "db://a%40b:s3cret@127.0.0.1:5000/{unknown}",
        "USER": "a@b",
    }


def test_what_is_shown() -> None:
    """Neither variables nor files: they may be secret."""
    service = resolved(kind="db", volume="kept")
    assert as_json([service], ["main"]) == [
        {
            "name": "main",
            "kind": "db",
            "image": "library/db:3",
            "ports": [5000, 5001],
            "volume": "kept",
            "running": True,
        }
    ]
