"""The specification as JSON."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.spec import (
    Limits,
    Mount,
    Network,
    RunId,
    RunSpec,
    TerminalSize,
    Timeouts,
    codec,
)

# With lone surrogates: that is how Python holds a path or an argument that is no UTF-8.
text = st.text(st.characters(), max_size=15)
texts = st.lists(text, max_size=3).map(tuple)
seconds = st.floats(0, 1e6)
networks = st.builds(
    Network,
    policy=st.sampled_from(["permissive", "strict", "ask"]),
    rules=texts,
    allow=texts,
    tcp=texts,
    passthrough=texts,
    hosts=st.dictionaries(text, text, max_size=3),
    private=texts,
    upstream_ca=text,
    upstream_proxy=text,
    upstream_http_proxy=text,
    no_upstream_proxy=text,
    capture=st.sampled_from(["none", "headers", "bodies"]),
    ask_timeout=seconds,
    timeouts=st.builds(Timeouts, connect=seconds, tls=seconds, header=seconds, idle=seconds),
)
specs = st.builds(
    RunSpec,
    id=text.map(RunId),
    name=text,
    command=st.lists(text, max_size=4).map(tuple),
    workspace=text,
    created_at=text,
    env=st.dictionaries(text, text, max_size=3),
    mounts=st.lists(st.builds(Mount, text, text, st.sampled_from(["ro", "rw"])), max_size=3).map(
        tuple
    ),
    exclude=st.lists(text, max_size=3).map(tuple),
    interactive=st.booleans(),
    tty=st.booleans(),
    size=st.builds(TerminalSize, st.integers(1, 999), st.integers(1, 999)),
    limits=st.builds(
        Limits,
        st.none() | st.integers(1),
        st.none() | st.floats(0.1, 64),
        st.none() | st.integers(1),
    ),
    timeout=st.none() | st.floats(0, 1e9),
    network=networks,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(spec=specs)
def test_a_specification_survives_the_disk(spec: RunSpec) -> None:
    """`loads` is the inverse of `dumps`."""
    assert codec.loads(codec.dumps(spec)) == spec


def test_an_older_specification_goes_through_one_proxy_for_all() -> None:
    """It has no field for plain HTTP's own proxy, and its run goes on with the one proxy."""
    spec = RunSpec(
        id=RunId("a"),
        name="a",
        command=("true",),
        workspace="/",
        created_at="",
        network=Network(upstream_proxy="http://proxy:3128"),
    )
    older = json.loads(codec.dumps(spec))
    del older["network"]["upstream_http_proxy"]

    assert codec.loads(json.dumps(older)).network.upstream_http_proxy == "http://proxy:3128"


@given(value=json_values)
def test_any_json_is_a_specification_or_a_value_error(value: object) -> None:
    """A damaged file raises nothing else."""
    with pytest.raises(ValueError):
        codec.loads(json.dumps(value))


@given(
    spec=specs,
    name=st.sampled_from([each.name for each in fields(RunSpec)]),
    value=json_values,
)
def test_a_damaged_field_is_a_value_error_or_harmless(
    spec: RunSpec, name: str, value: object
) -> None:
    """A field of the wrong kind never starts a run from half a specification."""
    damaged = json.loads(codec.dumps(spec)) | {name: value}
    try:
        loaded = codec.loads(json.dumps(damaged))
    except ValueError:
        return
    assert _holds(json.loads(codec.dumps(loaded)), damaged)


def _holds(whole: object, part: object) -> bool:
    """Tell whether all of `part` is in `whole`, which may have more fields at every depth."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _holds(whole[name], part[name]) for name in part)
    if isinstance(whole, list) and isinstance(part, list):
        return len(whole) == len(part) and all(map(_holds, whole, part))
    return whole == part


@given(damage=st.text(max_size=30))
def test_any_text_is_a_specification_or_a_value_error(damage: str) -> None:
    """This holds for text that isn't JSON, too."""
    with pytest.raises(ValueError):
        codec.loads(damage)


def test_a_text_that_is_nested_too_deep_is_a_value_error() -> None:
    """The parser's `RecursionError` doesn't escape."""
    with pytest.raises(ValueError, match="deep"):
        codec.loads("[" * 100_000)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": 2}, "version 2"),
        ({"version": None}, "version None"),
        ({"tty": 1}, "RunSpec.tty"),
        ({"journal_limit": True}, "RunSpec.journal_limit"),
        ({"timeout": "10"}, "RunSpec.timeout"),
        ({"command": "make"}, "RunSpec.command"),
        ({"command": ["make", 3]}, "RunSpec.command"),
        ({"env": {"A": 1}}, "RunSpec.env"),
        ({"mounts": [{"source": "/a"}]}, "Mount lacks target"),
        ({"limits": {"memory": None, "cpus": None, "pids": 1, "gpus": 1}}, "gpus"),
        ({"mounts": [{"source": "/a", "target": "/b", "mode": "maybe"}]}, "Mount.mode"),
        ({"mounts": ["/a:/b"]}, "RunSpec.mounts: '/a:/b' is not an object"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], named: str) -> None:
    """The error names the field to look at."""
    spec = RunSpec(id=RunId("a"), name="a", command=("a",), workspace="a", created_at="a")
    damaged = json.loads(codec.dumps(spec)) | change
    with pytest.raises(ValueError, match=named):
        codec.loads(json.dumps(damaged))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"policy": "open"}, "Network.policy: 'open'"),
        ({"policy": None}, "Network.policy"),
        ({"capture": "all"}, "Network.capture: 'all'"),
        ({"rules": "allow a"}, "Network.rules"),
        ({"rules": [1]}, "Network.rules: 1 is not a string"),
        ({"hosts": {"a": 1}}, "Network.hosts: 1 is not a string"),
        ({"hosts": []}, "Network.hosts"),
        ({"ask_timeout": True}, "Network.ask_timeout"),
        ({"timeouts": {"connect": "1"}}, "Timeouts.connect"),
        ({"timeouts": None}, "Network.timeouts"),
        ({"telepathy": True}, "Network has no field 'telepathy'"),
    ],
)
def test_what_is_wrong_with_a_network_is_named(change: dict[str, object], named: str) -> None:
    """A wrong value makes the whole policy an error."""
    spec = RunSpec(id=RunId("a"), name="a", command=("a",), workspace="a", created_at="a")
    damaged = json.loads(codec.dumps(spec))
    damaged["network"] |= change
    with pytest.raises(ValueError, match=named):
        codec.loads(json.dumps(damaged))


REQUIRED = {"id", "name", "command", "workspace", "created_at"}
SPEC = RunSpec(id=RunId("a"), name="a", command=("a",), workspace="a", created_at="a")


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_field_that_is_missing_is_named(name: str) -> None:
    """These fields were in the first version, and have no default."""
    damaged = json.loads(codec.dumps(SPEC))
    del damaged[name]
    with pytest.raises(ValueError, match=f"RunSpec lacks {name}"):
        codec.loads(json.dumps(damaged))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *((None, each.name) for each in fields(RunSpec) if each.name not in REQUIRED),
        *(("network", each.name) for each in fields(Network)),
        *(("limits", each.name) for each in fields(Limits)),
        *(("size", each.name) for each in fields(TerminalSize)),
    ],
)
def test_a_run_of_before_there_was_such_a_field_is_still_read(part: str | None, name: str) -> None:
    """Runs outlive an update of Moat; at every depth, a missing field has its default."""
    earlier = json.loads(codec.dumps(SPEC))
    del (earlier if part is None else earlier[part])[name]
    assert codec.loads(json.dumps(earlier)) == SPEC


def test_a_field_of_the_future_is_named() -> None:
    """An old supervisor doesn't ignore a part of the specification."""
    later = json.loads(codec.dumps(SPEC)) | {"teleport": True}
    with pytest.raises(ValueError, match="teleport"):
        codec.loads(json.dumps(later))
