"""The language of rules, and the time that it takes to compare a path with one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.errors import UsageError
from moat.spec.hosts import canonical_host
from moat.spec.request_path import interpretations
from moat.spec.rules import Rule, host_rule


def _plainly(pattern: str, path: str) -> bool:
    """Match a path in the obvious way, which may take very long."""
    parts = [
        "(?:/[^/]*)*" if segment == "**" else "/" + "[^/]*".join(map(re.escape, segment.split("*")))
        for segment in pattern.split("/")[1:]
    ]
    return re.fullmatch("".join(parts), path) is not None


_SEGMENTS = st.lists(st.sampled_from(["**", "*", "a", "b", "a*", "*a", "a*b", "*a*b*"]), min_size=1)
_PATHS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=6)


@given(pattern=_SEGMENTS, path=_PATHS)
def test_stars_match_what_they_say(pattern: list[str], path: list[str]) -> None:
    """`*` matches within a segment, `**` any number of segments, wherever they stand."""
    written = "/" + "/".join(pattern)
    known = "/" + "/".join(path)

    assert Rule.parse(f"allow a{written}").matches_path(known) == _plainly(written, known)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/x/**/x/**/y", "/x" * 30_000),
        ("/**/a*/**/a*/b", "/aa" * 20_000),
        ("/*a*b*c*d", "/" + "abc" * 20_000),
        ("/**/*a*b*c*d/**/z", ("/" + "abc" * 100) * 200),
    ],
)
def test_no_path_takes_long(pattern: str, path: str) -> None:
    """A hostile program writes the path, and the supervisor does nothing else meanwhile."""
    assert not Rule.parse(f"deny a{pattern}").matches_path(path)


@pytest.mark.parametrize("method", ["DELETE", "delete", "Delete"])
def test_methods_match_in_any_case(method: str) -> None:
    """Some servers don't distinguish them."""
    assert Rule.parse("deny DELETE a").matches_method(method)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/admin", "/admin/"), ("/admin/", "/admin"), ("/admin/*", "/admin/x/"), ("/a", "/a/.")],
)
def test_a_slash_at_the_end_evades_no_rule(pattern: str, path: str) -> None:
    """To most servers both paths are one resource."""
    rule = Rule.parse(f"deny a.test{pattern}")
    assert rule.matches_path(interpretations(path).paths[0])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("allow get x.com", "Methods are written in capitals: allow GET x.com"),
        ("deny Post x.com/a", "Methods are written in capitals: deny POST x.com/a"),
        ("allow https://x.com/", "Leave the scheme away: allow x.com"),
        ("allow GET http://x.com/a/**", "Leave the scheme away: allow GET x.com/a/**"),
        ("allow foo x.com", "Write: allow|deny [METHOD] host[:port][/path]"),
        ("x.com", "Write: allow|deny [METHOD] host[:port][/path]"),
        ("", "Write: allow|deny [METHOD] host[:port][/path]"),
        ("allow https://\x1b[2Jx.com", "Write: allow|deny [METHOD] host[:port][/path]"),
    ],
)
def test_a_malformed_rule_is_answered_with_what_was_probably_meant(text: str, hint: str) -> None:
    """The hint is a guess, and control characters from a file don't reach the terminal."""
    with pytest.raises(UsageError, match="is not a rule") as raised:
        Rule.parse(text)
    assert raised.value.hint is not None
    assert raised.value.hint.startswith(hint)


def test_what_the_user_did_not_write_is_not_quoted() -> None:
    """A bare host is parsed as a rule, but the error quotes only the host."""
    with pytest.raises(UsageError) as raised:
        host_rule("x.com:0")
    assert raised.value.summary == "'x.com:0': 0 is not a port"


@pytest.mark.parametrize(
    ("rule", "host", "matches"),
    [
        ("deny 127.0.0.1", "::ffff:127.0.0.1", True),
        ("deny [::ffff:127.0.0.1]", "127.0.0.1", True),
        ("deny [::ffff:10.0.0.0/104]", "10.1.2.3", True),
        ("deny 203.0.113.0/24", "2002:cb00:7105::1", True),
        ("deny 203.0.113.5", "64:ff9b::203.0.113.5", True),
        ("deny 203.0.113.5", "::203.0.113.5", True),
        ("deny 203.0.113.5", "2001:db8::1", False),
        ("allow 203.0.113.5", "::ffff:203.0.113.5", True),
        ("allow 203.0.113.5", "64:ff9b::203.0.113.5", False),
        ("deny [2001:db8::/32]", "2001:db8::1", True),
    ],
)
def test_an_address_is_denied_in_whichever_form(rule: str, host: str, matches: bool) -> None:
    """An IPv4 address may be mapped into IPv6, or be reached through a translator."""
    assert Rule.parse(rule).matches_host(canonical_host(host), 80) is matches


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("2001:db8::1", "2001:db8::1/128", None, None),
        ("::1", "::1/128", None, None),
        ("2001:db8:0:0:0:0:0:1/x", "2001:db8::1/128", None, "/x"),
        ("2001:db8::/32", "2001:db8::/32", None, None),
        ("fe80::a:b", "fe80::a:b/128", None, None),
        ("[2001:db8::1]:443", "2001:db8::1/128", 443, None),
        ("POST 2001:db8::1", "2001:db8::1/128", None, None),
    ],
)
def test_an_ipv6_address_needs_no_brackets(
    text: str, host: str, port: int | None, path: str | None
) -> None:
    """Without a port it may be written as programs print it."""
    rule = Rule.parse(f"allow {text}")
    assert (rule.host, rule.port, rule.path) == (host, port, path)


@pytest.mark.parametrize("text", ["2001:db8::1:443", "::1:80", "1:2:3", "a:b:c", "::1::2"])
def test_what_may_be_a_port_is_not_guessed(text: str) -> None:
    """The last digits may belong to the address or be a port, so the user has to say."""
    with pytest.raises(UsageError):
        Rule.parse(f"allow {text}")
