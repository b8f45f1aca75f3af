"""What an engine is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from moat.engines.container.request import container_name, create_body, is_init, service_body
from moat.spec import Limits, RunId, RunSpec, Service, ServiceVolume

SPEC = RunSpec(
    id=RunId("0123456789ab"),
    name="brave-otter",
    command=("claude", "--print", "hi"),
    workspace="/srv/app",
    created_at="2026-01-01T00:00:00Z",
    env={"TOKEN": "not for the engine"},
)


def body(**fields: Any) -> dict[str, Any]:
    spec = replace(SPEC, **fields)
    return create_body(
        spec, home="/home/me/.moat", image="sha256:1", init_folder="/r/container", hostname="otter"
    )


def test_the_container_can_do_nothing_by_itself() -> None:
    """Neither a network nor a capability, and nothing of the image's is started."""
    asked = body()
    host = asked["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert asked["Entrypoint"] == ["/.moat/init"]
    assert asked["Healthcheck"] == {"Test": ["NONE"]}
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/r/container", "Target": "/.moat", "ReadOnly": True}
    ]


def test_the_engine_learns_nothing_of_the_command() -> None:
    """Whoever may ask the engine would read it there: command, variables, workspace."""
    text = str(body())
    for known in ("claude", "not for the engine", "TOKEN", "/srv/app"):
        assert known not in text


def test_everything_made_is_labelled() -> None:
    """By the labels it is found again, and those of another store are left alone."""
    assert body()["Labels"] == {"moat.run": "0123456789ab", "moat.home": "/home/me/.moat"}
    assert container_name("0123456789ab") == "moat-0123456789ab"


def test_limits() -> None:
    """Memory has no way out into the swap; processes are bounded in any case."""
    host = body(limits=Limits(memory=1 << 30, cpus=1.5, pids=77))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (1 << 30, 1 << 30)
    assert (host["NanoCpus"], host["PidsLimit"]) == (1_500_000_000, 77)
    unlimited = body()["HostConfig"]
    assert unlimited["PidsLimit"] == 4096
    assert "Memory" not in unlimited
    assert "NanoCpus" not in unlimited


def test_an_init_is_known_by_its_arguments() -> None:
    """A process that has its number later is another one."""
    assert is_init(b"/.moat/init\x000123456789ab\x00", "0123456789ab")
    assert not is_init(b"/.moat/init\x00ba9876543210\x00", "0123456789ab")
    assert not is_init(b"/sbin/init\x00", "0123456789ab")


def of_service(service: Service, **fields: Any) -> dict[str, Any]:
    return service_body(
        replace(SPEC, **fields),
        service,
        home="/home/me/.moat",
        image="sha256:2",
        env={"DB_PASSWORD": "s3cret"},
        files={"/etc/db.conf": "/r/services/db/0"},
    )


def test_a_service_has_the_runs_network_and_few_capabilities() -> None:
    """Those by which an entrypoint becomes the server's user, and none that reaches the network."""
    asked = of_service(Service(name="db", image="db:1", ports=(5000,)))
    host = asked["HostConfig"]
    assert host["NetworkMode"] == "container:moat-0123456789ab"
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["CapAdd"] == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/r/services/db/0", "Target": "/etc/db.conf", "ReadOnly": True}
    ]
    assert asked["Env"] == ["DB_PASSWORD=s3cret"]
    assert "Cmd" not in asked
    assert asked["Labels"] == {
        "moat.run": "0123456789ab",
        "moat.home": "/home/me/.moat",
        "moat.service": "db",
    }


def test_a_service_with_a_volume_a_command_and_limits() -> None:
    """Its memory is its own; other limits are those of the run's container."""
    volume = ServiceVolume(name="data", target="/data", folder="/volumes/data")
    service = Service(name="db", image="db:1", command=("serve",), volume=volume, memory=1 << 20)
    asked = of_service(service, limits=Limits(memory=1 << 30, pids=7))
    host = asked["HostConfig"]
    assert (host["Memory"], host["PidsLimit"]) == (1 << 20, 7)
    kept = {"Type": "bind", "Source": "/volumes/data", "Target": "/data", "ReadOnly": False}
    assert host["Mounts"][1:] == [kept]
    assert (asked["Cmd"], asked["Labels"]["moat.keeps"]) == (["serve"], "true")
    smaller = of_service(replace(service, memory=None), limits=Limits(memory=1 << 30))
    assert smaller["HostConfig"]["Memory"] == 1 << 30
