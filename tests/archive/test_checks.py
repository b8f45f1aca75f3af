"""What members of an exported run may say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.archive.exported import PASSWORD, SPEC, TOKEN

from moat.archive import checks
from moat.spec import Container, EventHook, RunSpec, codec

KEYS = ("format", "id", "name", "state", "exit_code", "time", "event", "root", "changes", "notes")


def test_what_a_user_has_passed_is_masked() -> None:
    """Values of variables, passwords of proxies, and what the host would start."""
    spec = replace(
        SPEC,
        on_event=(EventHook(command=("/bin/tell", TOKEN), events=("fault",)),),
        container=Container(image="debian", variables={"DOCKER_HOST": f"tcp://{TOKEN}"}),
    )
    shown = checks.masked(spec)
    assert not any(each in codec.dumps(shown) for each in (TOKEN, PASSWORD))
    assert (set(shown.env), shown.on_event, shown.container.image) == ({"TOKEN"}, (), "debian")
    assert checks.masked(shown) == shown


def test_a_specification_without_secrets_stays_as_it_is() -> None:
    """Its bytes are what the audit log commits to."""
    spec: RunSpec = replace(SPEC, env={}, network=replace(SPEC.network, upstream_proxy=""))
    assert checks.masked(spec) == spec
    assert checks.spec_of(codec.dumps(spec).encode()) == spec


def test_an_event_of_an_earlier_moat_gets_its_defaults() -> None:
    """Those that came later are missing in it; what prints events looks for all."""
    line = (
        b'{"time": "2026-01-01T00:00:00Z", "event": "exec_ended", "session": "x", "exit_code": 1}'
    )
    assert json.loads(checks.event(line)) == json.loads(line) | {"error": None}


def test_exit_statuses_and_sessions_are_written_anew() -> None:
    """With what Moat knows of them, and nothing else."""
    assert checks.exit_status(b'{"exit_code": 3, "more": 1}') == b'{"exit_code": 3}'
    assert checks.exit_status(b'{"exit_code": null}') == b'{"exit_code": null}'
    record = json.loads(checks.session_record(b'{"command": ["ls"], "more": 1}'))
    assert record["command"] == ["ls"]
    assert "more" not in record


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    )
)
def test_no_json_is_a_traceback(value: Any) -> None:
    """Whatever it is, each check knows it or raises the error that the import reports."""
    data = json.dumps(value).encode()
    for check in (
        checks.facts_of,
        checks.spec_of,
        checks.event,
        checks.exit_status,
        checks.session_record,
    ):
        try:
            check(data)
        except ValueError:
            continue
    with pytest.raises(ValueError, match=r"."):
        checks.changes_of(data, 0)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_traceback(data: bytes) -> None:
    """Of an index least of all, which is binary."""
    for check in (checks.journal_index, checks.facts_of, checks.spec_of, checks.event):
        with pytest.raises(ValueError, match=r"."):
            check(data)
