"""The host's own proxy and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config import upstream
from moat.config.upstream import Proxies, own_certificates, redacted, upstream_proxies
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("", "", "")),
        ({"HTTPS_PROXY": "", "HTTP_PROXY": ""}, ("", "", "")),
        ({"NO_PROXY": "a"}, ("", "", "")),
        ({"HTTPS_PROXY": "http://proxy:3128"}, ("http://proxy:3128", "", "")),
        ({"HTTPS_PROXY": "proxy:3128"}, ("http://proxy:3128", "", "")),
        ({"https_proxy": " https://proxy/ "}, ("https://proxy:443", "", "")),
        ({"HTTP_PROXY": "proxy:3128"}, ("", "http://proxy:3128", "")),
        ({"http_proxy": "http://a:1", "HTTP_PROXY": "http://b:1"}, ("", "http://a:1", "")),
        ({"HTTPS_PROXY": "a:1", "HTTP_PROXY": "b:2"}, ("http://a:1", "http://b:2", "")),
        ({"ALL_PROXY": "HTTP://Proxy"}, ("http://proxy:80", "http://proxy:80", "")),
        ({"ALL_PROXY": "a:1", "http_proxy": "b:1"}, ("http://a:1", "http://b:1", "")),
        ({"HTTPS_PROXY": "http://[::1]:8080"}, ("http://[::1]:8080", "", "")),
        (
            {"HTTPS_PROXY": "http://u:p%40@h:1", "NO_PROXY": ".x,y"},
            ("http://u:p%40@h:1", "", ".x,y"),
        ),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, ("http://a:1", "", "")),
        ({"HTTP_PROXY": "http://a:1", "no_proxy": "x", "NO_PROXY": "y"}, ("", "http://a:1", "x")),
        ({"HTTPS_PROXY": "http://a:1", "HTTP_PROXY": "http://a:1", "NO_PROXY": "*"}, ("", "", "")),
    ],
)
def test_the_proxies_are_those_that_other_programs_take(
    environment: dict[str, str], expected: tuple[str, str, str]
) -> None:
    """One is for plain HTTP and one for the rest, by curl's order of variables and with ports."""
    assert upstream_proxies(environment) == expected


def test_a_proxy_that_is_not_asked_is_not_read() -> None:
    """The variable for all protocols isn't read where both kinds have their own."""
    own = {"HTTPS_PROXY": "http://a:1", "HTTP_PROXY": "http://a:1", "ALL_PROXY": "socks5://b:1"}
    assert upstream_proxies(own) == Proxies("http://a:1", "http://a:1")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ALL_PROXY": "socks5://u:secret@p:1080"}, "ALL_PROXY names a socks5:// proxy"),
        ({"HTTPS_PROXY": "ftp://u:secret@p"}, "HTTPS_PROXY names a ftp:// proxy"),
        ({"HTTP_PROXY": "ftp://u:secret@p"}, "HTTP_PROXY names a ftp:// proxy"),
        ({"HTTPS_PROXY": "http://u:secret@p:port"}, "is not a URL"),
        ({"HTTPS_PROXY": "http://u:secret@p:99999"}, "is not a URL"),
        ({"HTTPS_PROXY": "http://u:secret@[p"}, "is not a URL"),
        ({"HTTPS_PROXY": "http://u:secret@p:0"}, "is not the URL of a proxy"),
        ({"HTTPS_PROXY": "http://"}, "is not the URL of a proxy"),
        ({"HTTPS_PROXY": "http://p/secret"}, "is not the URL of a proxy"),
        ({"HTTPS_PROXY": "http://p?secret"}, "is not the URL of a proxy"),
        ({"HTTPS_PROXY": "http://u:secret @p:1"}, "a character that no URL has"),
        ({"HTTPS_PROXY": "http://u:secret@p\r\nX: y"}, "a character that no URL has"),
        ({"HTTPS_PROXY": "http://u:secrét@p"}, "a character that no URL has"),
    ],
)
def test_a_proxy_that_can_not_be_is_refused(environment: dict[str, str], words: str) -> None:
    """A connection without it may not be allowed, so it is an error, which keeps the password secret."""
    with pytest.raises(UsageError) as raised:
        upstream_proxies(environment)
    assert words in raised.value.summary
    assert "secret" not in str(raised.value)
    assert "secrét" not in str(raised.value)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_a_proxy_or_refused(text: str) -> None:
    """There is no other error, and a URL that is accepted is plain."""
    try:
        url = upstream_proxies({"HTTPS_PROXY": text}).tunnels
    except UsageError:
        return
    assert url.isascii()
    assert not url or url.startswith(("http://", "https://"))
    assert not any(each.isspace() for each in url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://user:pass@proxy:3128", "http://user:***@proxy:3128"),
        ("http://user:p@ss:w@proxy:3128", "http://user:***@proxy:3128"),
        ("https://token@proxy:443", "https://***@proxy:443"),
    ],
)
def test_a_proxy_is_shown_without_its_password(url: str, shown: str) -> None:
    """A token in the place of a user name isn't shown, either."""
    assert redacted(url) == shown


@pytest.fixture
def system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: Callable[[str], str]
) -> Path:
    """Return the certificates of the host's bundle, two of them."""
    path = tmp_path / "system.pem"
    path.write_text(certificate("one") + certificate("two"))
    monkeypatch.setattr(upstream, "SYSTEM_BUNDLES", ("/nonexistent", str(path)))
    return path


def test_of_a_companys_bundle_what_is_its_own_is_kept(
    system: Path, certificate: Callable[[str], str]
) -> None:
    """Specifications don't grow by a whole trust store."""
    own = certificate("company")
    bundle = system.with_name("company.pem")
    bundle.write_text(system.read_text() + own)
    assert own_certificates({"SSL_CERT_FILE": str(bundle)}) == (own.strip(),)


def test_the_systems_bundle_adds_nothing(system: Path) -> None:
    """Neither does a link to it, a missing file or an unset variable."""
    link = system.with_name("link.pem")
    link.symlink_to(system)
    for named in (str(system), str(link), "/nonexistent", ""):
        assert own_certificates({"SSL_CERT_FILE": named}) == ()
    assert own_certificates({}) == ()


def test_without_a_systems_bundle_all_are_kept(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would be trusted."""
    monkeypatch.setattr(upstream, "SYSTEM_BUNDLES", ())
    assert len(own_certificates({"SSL_CERT_FILE": str(system)})) == 2


def test_a_file_of_something_else_is_refused(system: Path) -> None:
    """The user's setting doesn't work, and the error comes before the run."""
    other = system.with_name("other")
    other.write_text("nothing")
    with pytest.raises(UsageError, match="no PEM certificate"):
        own_certificates({"SSL_CERT_FILE": str(other)})
