"""The settings of a build."""

from __future__ import annotations

import pytest

from moat.config.build_fields import FIELD


def check(name: str, value: str) -> None:
    field = FIELD.fields[name]
    assert field.check is not None
    field.check(value)


@pytest.mark.parametrize(
    "url", ["http://p:1", "https://proxy.example.com/", "http://[2001:db8::1]:3128"]
)
def test_a_proxy(url: str) -> None:
    """Its URL has a host, and a port perhaps."""
    check("proxy", url)


@pytest.mark.parametrize(
    "url", ["p:1", "http://you:secret@p:1", "socks5://p:1", "http://p/x y", ""]
)
def test_a_proxy_that_is_none_or_has_a_password(url: str) -> None:
    """A build is given no secret."""
    with pytest.raises(ValueError, match="without a password"):
        check("proxy", url)


def test_the_base_is_an_image() -> None:
    """Its reference has no space in it, and nothing that a recipe acts on."""
    check("base_image", "registry.example.com:5000/debian:stable-slim")
    for each in ("", "a b", "a\nRUN id"):
        with pytest.raises(ValueError, match="is no reference of an image"):
            check("base_image", each)
