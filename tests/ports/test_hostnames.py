"""Host names of published ports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.names import new_name
from moat.egress.names import canonical_host
from moat.ports.hostnames import Name, is_local, label, parse, url

# As config.names and config.ports have them.
RUNS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
PORTS = st.from_regex(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True) | st.integers(
    1, 65535
).map(str)


@given(RUNS, PORTS, st.sampled_from(["http", "https"]), st.integers(1, 65535))
def test_a_url_leads_to_the_port_that_it_was_made_for(
    run: str, port: str, scheme: str, number: int
) -> None:
    """Whatever run and port are called, a browser takes it for a name of this machine."""
    made = url(scheme, run, port, number)
    host = made.removeprefix(f"{scheme}://").partition(":")[0]
    assert canonical_host(host) == host
    assert parse(host) == Name(label(run), port)
    assert is_local(host)


@given(RUNS)
def test_a_label_is_one_label(run: str) -> None:
    """So that each run is a site of its own."""
    made = label(run)
    assert 0 < len(made) < 64
    assert not {".", "_"} & set(made)
    assert label(made) == made


def test_names_that_moat_gives_are_their_own_labels() -> None:
    """The URL has the name that the user knows."""
    name = new_name(())
    assert label(name) == name


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", Name()),
        ("fix.localhost", Name("fix")),
        ("web.fix.localhost", Name("fix", "web")),
        ("a.web.fix.localhost", None),
        ("web.fix", None),
        ("localhost.example.com", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
    ],
)
def test_host_names_taken_apart(host: str, name: Name | None) -> None:
    """Only names of two labels below localhost can be ports."""
    assert parse(host) == name


@given(st.text())
def test_no_other_domain_is_local(text: str) -> None:
    """Not one that only looks like it, such as a name that a stranger's DNS leads to this machine."""
    assert is_local(text) == (text == "localhost" or text.endswith(".localhost"))
    if not is_local(text):
        assert parse(text) is None


def test_usual_ports_are_left_out() -> None:
    """As browsers show them."""
    assert url("http", "fix", "web", 80) == "http://web.fix.localhost"
    assert url("https", "fix", "web", 443) == "https://web.fix.localhost"
    assert url("https", "fix", "web", 80) == "https://web.fix.localhost:80"
