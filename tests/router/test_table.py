"""The port that a name means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moat.ports.hostnames import Name
from moat.router.table import Port, Problem, Route, RunEntry, Table

WEB = Port("web", 3000, "127.0.0.1", 40001)
API = Port("api", 4000, "127.0.0.1", 40002)


def entry(name: str, *ports: Port, number: int = 1, starting: bool = False) -> RunEntry:
    return RunEntry(f"{number:012x}", name, ports, starting)


def problem(table: Table, run: str, port: str = "") -> Problem:
    found = table.find(Name(run, port))
    assert isinstance(found, Problem)
    return found


def test_a_port_is_found_by_its_name_its_number_and_the_runs_id() -> None:
    """An id is the name of a run that no other run ever has."""
    run = entry("fix", WEB, API)
    table = Table([run])
    for name in (Name("fix", "web"), Name("fix", "3000"), Name(run.id, "web")):
        assert table.find(name) == Route(run, WEB)
    assert table.find(Name("fix", "api")) == Route(run, API)


def test_the_only_port_needs_no_name() -> None:
    """Of several one has to be named, and they are listed."""
    assert Table([entry("fix", WEB)]).find(Name("fix")) == Route(entry("fix", WEB), WEB)
    found = problem(Table([entry("fix", WEB, API)]), "fix")
    assert found.status == 404
    assert "web.fix.localhost" in found.hint
    assert "api.fix.localhost" in found.hint


def test_an_unknown_run_is_for_somebody_else_to_explain() -> None:
    """The store knows those that have ended."""
    assert Table([entry("fix", WEB)]).find(Name("other", "web")) is None


def test_a_port_that_a_run_does_not_have() -> None:
    """The answer names those that it has, or how a run gets one."""
    assert "web.fix.localhost" in problem(Table([entry("fix", WEB)]), "fix", "db").hint
    assert "-p db=3000" in problem(Table([entry("fix")]), "fix", "db").hint


def test_a_run_that_is_starting() -> None:
    """Its ports aren't open yet, which is no mistake of the user's."""
    assert problem(Table([entry("fix", starting=True)]), "fix", "web").status == 503


def test_two_names_that_become_one_label() -> None:
    """Neither is guessed: the ids tell them apart."""
    runs = [entry("my.run", WEB), entry("my_run", WEB, number=2)]
    table = Table(runs)
    found = problem(table, "my-run", "web")
    assert "my.run, my_run" in found.reason
    assert f"web.{runs[0].id}.localhost or web.{runs[1].id}.localhost" in found.hint
    assert table.find(Name(runs[1].id, "web")) == Route(runs[1], WEB)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_name_has_an_answer(run: str, port: str) -> None:
    """A route is only ever to a port of the run that was named."""
    table = Table([entry("fix", WEB, API), entry("other", API, number=2)])
    found = table.find(Name(run, port))
    if isinstance(found, Route):
        assert run in {found.run.name, found.run.id}
        assert found.port in found.run.ports
