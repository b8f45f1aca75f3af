"""What a project's file opens, as lines, and what is new in it since the user agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config import agent_file
from moat.config.fields import Effect
from moat.config.openings import changes, lines_of, nearest, shown
from moat.egress.policy.decision import Verdict
from moat.egress.policy.engine import Policy
from moat.runs.agreement import Line
from moat.spec import Network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.config.fields import Field

OPENS = {
    "command",
    "base_image",
    "dependencies",
    "interactive: true",
    "env",
    "mounts",
    "volumes",
    "services",
    "grants",
    "secrets",
    "network.rules: allow a.com",
    "ports",
    "network.allow",
    "network.tcp",
    "network.passthrough",
    "network.hosts",
    "network.host",
    "network.private",
    "network.upstream_ca",
    "mcp",
    "network.ask_timeout: 61s",
    "network.timeouts.connect: 11s",
    "network.timeouts.tls: 11s",
    "network.timeouts.header: 31s",
    "network.timeouts.idle: 16m",
}
NARROWS = {
    "exclude",
    "protected_paths",
    "workspace.mode",
    "network.policy",
    "network.rules: deny a.com",
    "network.capture",
}
NEUTRAL = {
    "name",
    "interactive: false",
    "limits.memory",
    "limits.cpus",
    "limits.pids",
    "limits.timeout",
    "limits.requests",
    "limits.bytes_out",
    "limits.tokens",
    "limits.cost",
    "limits.on_limit",
    "network.ask_timeout: 60s",
    "network.timeouts.connect: 10s",
    "network.timeouts.tls: 10s",
    "network.timeouts.header: 30s",
    "network.timeouts.idle: 15m",
}
VALUES = {"true": True, "false": False}


def leaves(fields: Mapping[str, Field], prefix: str = "") -> Iterator[tuple[str, Field]]:
    for name, field in fields.items():
        if field.type == "object":
            yield from leaves(field.fields, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


@pytest.mark.parametrize(
    ("named", "effect"),
    [
        (each, effect)
        for effect, names in zip(Effect, (OPENS, NARROWS, NEUTRAL), strict=True)
        for each in sorted(names)
    ],
)
def test_the_effect_of_a_field(named: str, effect: Effect) -> None:
    """A hostile author gains by what opens and by nothing else; some values of a field open more."""
    name, _, text = named.partition(": ")
    found = dict(leaves(agent_file.FIELDS))[name].effect
    assert (found if isinstance(found, Effect) else found(VALUES.get(text, text))) is effect


def test_every_field_has_an_effect_that_somebody_thought_about() -> None:
    """Hint: what does the author of a hostile file gain by the new field? If in doubt, it opens."""
    known = {each.partition(": ")[0] for each in OPENS | NARROWS | NEUTRAL}
    assert {name for name, _ in leaves(agent_file.FIELDS)} == known


def opened(**content: Any) -> list[str]:
    return [shown(line) for line in lines_of(agent_file.FIELDS, content)]


def test_restrictions_come_first_then_rules_then_everything_else() -> None:
    """The order of a file doesn't matter, but for its rules."""
    assert opened(
        network={
            "hosts": {"b.com": "10.0.0.2", "a.com": "10.0.0.1"},
            "rules": ["allow GET z.com", "deny a.com", "allow a.com"],
            "policy": "strict",
            "capture": "headers",
            "timeouts": {"idle": "1h", "tls": "1s"},
        },
        env={"B": "2", "A": "x y"},
        exclude=["z", "a"],
        limits={"memory": "1g"},
        command="sh -c 'echo  hi'",
        name="fix",
    ) == [
        "exclude: a",
        "exclude: z",
        "network.capture: at least headers",
        "network.policy: at least ask",
        "network.policy: at least strict",
        "network.rules: allow GET z.com",
        "network.rules: deny a.com",
        "network.rules: allow a.com",
        "command: sh -c 'echo  hi'",
        "env: A=x y",
        "env: B=2",
        "network.hosts: a.com=10.0.0.1",
        "network.hosts: b.com=10.0.0.2",
        "network.timeouts.idle: 1h",
    ]


def test_taking_a_variable_of_the_callers_is_agreed_to_by_name() -> None:
    """A name without a value opens something else than any value, the empty one too."""
    taken = "env: TOKEN, as it is set where moat is called"
    assert opened(env={"TOKEN": None}) == [taken]
    for value in ("", "as it is set where moat is called"):
        assert changes(lines(env={"TOKEN": value}), lines(env={"TOKEN": None}))


def test_a_file_that_only_restricts_opens_nothing() -> None:
    """It needs no consent, whatever it restricts."""
    network = {"policy": "ask", "rules": ["deny a.com"], "capture": "bodies"}
    assert opened(name="x", exclude=[".env"], limits={"pids": 1}, network=network) == []
    assert opened(interactive=False) == []


def test_a_command_is_its_words() -> None:
    """However it is written, so that a rewrite of the same command asks nobody."""
    assert opened(command="make  -j8") == opened(command=["make", "-j8"]) == ["command: make -j8"]
    assert opened(command=["make -j8"]) == ["command: 'make -j8'"]


def test_values_that_differ_in_spaces_are_different() -> None:
    """Two folders may have such names."""
    assert opened(mounts=["a b:/x"]) != opened(mounts=["a  b:/x"])


def lines(**content: Any) -> tuple[Line, ...]:
    return lines_of(agent_file.FIELDS, content)


@pytest.mark.parametrize(
    ("agreed", "current"),
    [
        ({"allow": ["a", "b"]}, {"allow": ["a", "b"]}),
        ({"allow": ["a", "b"]}, {"allow": ["b"]}),
        ({"allow": ["a", "b"]}, {}),
        ({"allow": ["a"]}, {"allow": ["a"], "rules": ["deny a"], "policy": "strict"}),
        ({"allow": ["a"], "policy": "ask"}, {"allow": ["a"], "policy": "strict"}),
        ({"rules": ["deny x", "allow a", "deny y"]}, {"rules": ["deny x", "allow a"]}),
        ({"rules": ["deny x", "allow a"]}, {"rules": ["deny z", "deny x", "deny y", "allow a"]}),
        ({"rules": ["allow a", "deny x"]}, {"rules": ["deny x", "allow a"]}),
        ({"rules": ["allow a", "allow b"]}, {"rules": ["allow b", "allow a"]}),
        ({"rules": ["deny x", "allow a"]}, {"rules": ["deny x"]}),
    ],
)
def test_less_than_what_was_agreed_to_holds(agreed: Any, current: Any) -> None:
    """Who takes away what is opened, or restricts more, asks nobody."""
    assert not changes(lines(network=agreed), lines(network=current))


@pytest.mark.parametrize(
    ("agreed", "current", "texts"),
    [
        ({}, {"allow": ["a"]}, ["network.allow: a"]),
        ({"allow": ["a"]}, {"allow": ["a", "b"]}, ["network.allow: b"]),
        ({"hosts": {"a": "1.1.1.1"}}, {"hosts": {"a": "9.9.9.9"}}, ["network.hosts: a=9.9.9.9"]),
        (
            {"rules": ["deny x", "allow a"]},
            {"rules": ["allow a", "deny x"]},
            ["no longer network.rules: deny x"],
        ),
        (
            {"rules": ["deny x", "allow a"]},
            {"rules": ["allow a"]},
            ["no longer network.rules: deny x"],
        ),
        (
            {"rules": ["deny x"], "tcp": ["x:22"]},
            {"tcp": ["x:22"]},
            ["no longer network.rules: deny x"],
        ),
        (
            {"policy": "strict", "private": ["10.0.0.0/8"]},
            {"policy": "ask", "private": ["10.0.0.0/8"]},
            ["no longer network.policy: at least strict"],
        ),
    ],
)
def test_what_is_beyond_the_agreement_is_named(agreed: Any, current: Any, texts: list[str]) -> None:
    """To move or take away a restriction opens what was behind it."""
    change = changes(lines(network=agreed), lines(network=current))
    assert (change.texts(at_most=5), len(change)) == (texts, len(texts))


_HOSTS = st.sampled_from(["a.com", "b.com", "*.com", "**", "x.a.com"])
_RULES = st.lists(
    st.builds(
        " ".join,
        st.tuples(
            st.sampled_from(["allow", "deny"]),
            st.builds(
                "".join,
                st.tuples(
                    st.sampled_from(["", "GET "]), _HOSTS, st.sampled_from(["", "/x", "/x/**"])
                ),
            ),
        ),
    ),
    max_size=6,
)
_REQUESTS = [
    (method, host, path)
    for method in ("GET", "POST")
    for host in ("a.com", "b.com", "x.a.com")
    for path in ("/", "/x", "/x/y")
]


@given(_RULES, st.data())
def test_what_holds_allows_nothing_new(agreed: list[str], data: st.DataObject) -> None:
    """Whatever rules are dropped, added or moved, no request passes that did not pass before."""
    current = (
        data.draw(
            st.permutations(agreed).flatmap(
                lambda rules: st.lists(
                    st.sampled_from([*rules, "deny b.com", "deny **/x"]), max_size=6
                )
            )
        )
        if agreed
        else agreed
    )
    if changes(lines(network={"rules": agreed}), lines(network={"rules": current})):
        return
    before, now = (
        Policy(Network(policy="strict", rules=tuple(each))) for each in (agreed, current)
    )
    for method, host, path in _REQUESTS:
        if now.decide(method, host, 443, path).verdict is Verdict.ALLOW:
            assert before.decide(method, host, 443, path).verdict is Verdict.ALLOW


def test_no_kind_of_thing_hides_behind_many_of_another() -> None:
    """A few of each field are named, and the others are counted."""
    env = {f"A{number}": "x" for number in range(9)}
    rules = [f"deny {number}.com" for number in range(1, 7)]
    agreed = lines(env={"A0": "x"}, network={"rules": rules})
    change = changes(agreed, lines(env=env, network={"hosts": {"a": "1.1.1.1"}}))
    assert change.texts(at_most=10) == [
        *(f"env: A{number}=x" for number in range(1, 5)),
        "env: and 4 more",
        "network.hosts: a=1.1.1.1",
        *(f"no longer network.rules: deny {number}.com" for number in range(1, 5)),
        "no longer network.rules: and 2 more",
    ]
    assert len(change.texts(at_most=15)) == len(change) == 15
    assert change.counts() == ["env (8)", "network.hosts (1)", "network.rules (6)"]


def test_the_nearest_agreement_is_compared() -> None:
    """A repository has branches; two agreements never make a third one together."""
    first, second = lines(network={"allow": ["a", "b"]}), lines(network={"allow": ["c"]})
    assert nearest([first, second], lines(network={"allow": ["c", "d"]})) == second
    both = lines(network={"allow": ["a", "c"]})
    assert changes(nearest([first, second], both), both)
    assert nearest([], both) == ()


def test_a_line_is_harmless_and_not_too_long() -> None:
    """Its value comes from a hostile file, and may try to act on the terminal or to hide its end."""
    line = Line("env", "A=\x1b[2J\n\u202e" + "x" * 500, opens=True)
    assert shown(line).isprintable()
    assert shown(line, 40) == "env: A=\\x1b[2J\\n\\u202e" + "x" * 18 + "... (482 more characters)"
