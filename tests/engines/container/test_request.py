"""What an engine is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from moat.engines.container.request import container_name, create_body, is_init
from moat.spec import Limits, RunId, RunSpec

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
