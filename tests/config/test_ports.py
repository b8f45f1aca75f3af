"""The notation for published ports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config.ports import FIELD, MOST_PORTS, joined, parse
from moat.errors import UsageError
from moat.spec.port import PublishedPort


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("3000", PublishedPort(name="3000", port=3000)),
        ("8080:3000", PublishedPort(name="3000", port=3000, host_port=8080)),
        ("web=3000", PublishedPort(name="web", port=3000)),
        ("web-1=8080:3000", PublishedPort(name="web-1", port=3000, host_port=8080)),
        ("0.0.0.0:3000", PublishedPort(name="3000", port=3000, address="0.0.0.0")),
        (
            "web=127.0.0.1:8080:3000",
            PublishedPort(name="web", port=3000, address="127.0.0.1", host_port=8080),
        ),
        ("127.0.0.1::3000", PublishedPort(name="3000", port=3000, address="127.0.0.1")),
        ("localhost:3000", PublishedPort(name="3000", port=3000, address="localhost")),
        (
            "[::0:1]:8080:3000",
            PublishedPort(name="3000", port=3000, address="::1", host_port=8080),
        ),
    ],
)
def test_a_port_has_a_name_an_address_and_two_numbers(text: str, port: PublishedPort) -> None:
    """The last number is the run's; what is not said is chosen at the start."""
    assert parse(text) == port


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "web",
            "web=",
            "=3000",
            "3000:",
            ":3000",
            "a b:3000",
            "1:2:3",
            "web=3000=4",
            "0",
            "65536",
        ),
        *(
            "0:3000",
            "9" * 5000,
            "Web=3000",
            "3=3000",
            "-a=3000",
            "a_b=3000",
            "example.test:80:3000",
        ),
        *("::1:8080:3000", "[::1]3000", "[x]:3000", "-1", "٣٠٠٠", "3000/udp", "web=3000\n"),
    ],
)
def test_what_is_no_port_is_refused(text: str) -> None:
    """The hint shows how to write one."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint


@pytest.mark.parametrize("number", [53, 80, 443, 3128])
def test_the_proxys_own_ports_are_not_published(number: int) -> None:
    """Whoever came in there would speak to the run's proxy, with the run's credentials."""
    with pytest.raises(UsageError, match="proxy"):
        parse(f"8080:{number}")


@given(st.text(st.sampled_from("0123456789:[]=.-awl")))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    """A port has a name that is a label of DNS, and numbers that are ports."""
    try:
        port = parse(text)
    except UsageError:
        return
    assert 0 < port.port < 1 << 16
    assert 0 <= port.host_port < 1 << 16
    assert port.variable.replace("_", "").isalnum()
    assert port.name == port.name.strip("-").lower()


def test_the_variable_of_a_port() -> None:
    """It is one that shells can read."""
    assert parse("web-1=3000").variable == "MOAT_URL_WEB_1"
    assert parse("3000").variable == "MOAT_URL_3000"


def test_the_command_line_comes_before_the_project() -> None:
    """A port of the same name is replaced, others are added."""
    ports = joined({"web": "3000", "api": "8080:4000"}, ["web=9000:3001", "5000"])
    assert [(each.name, each.host_port, each.port) for each in ports] == [
        ("web", 9000, 3001),
        ("api", 8080, 4000),
        ("5000", 0, 5000),
    ]
    assert joined({}, []) == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["3000", "8080:3000"], "two ports are called 3000"),
        (["a=8080:3000", "b=8080:3001"], "both be at port 8080"),
        ([str(3000 + each) for each in range(MOST_PORTS + 1)], "at most"),
    ],
)
def test_ports_that_exclude_each_other(options: list[str], complaint: str) -> None:
    """They are a mistake of the command line, which is found before anything starts."""
    with pytest.raises(UsageError, match=complaint):
        joined({}, options)


def test_free_ports_are_no_two_of_the_same() -> None:
    """Nor is one port at two addresses."""
    assert len(joined({}, ["a=3000", "b=3001"])) == 2
    assert len(joined({}, ["a=127.0.0.2:8080:3000", "b=127.0.0.3:8080:3000"])) == 2


def test_a_project_names_no_address() -> None:
    """It can't open a run to the network; the error says how its user can."""
    assert FIELD.each is not None
    FIELD.each("web", "8080:3000")
    with pytest.raises(UsageError, match="names an address") as caught:
        FIELD.each("web", "0.0.0.0:8080:3000")
    assert "-p web=0.0.0.0:8080:3000" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="name of a port"):
        FIELD.each("Web", "3000")
