"""References to secrets: what each form means, and what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.config import secret_references


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("env://TOKEN", ("TOKEN",)),
        ("file:///run/keys/a b", ("/run/keys/a b",)),
        ("file://~/.token", ("~/.token",)),
        ("cmd://pass show 'a b'", ("pass", "show", "a b")),
        ("keyring://a/b/me", ("a/b", "me")),
        ("op://Private/db/password", ("op://Private/db/password",)),
        ("ssm://eu-west-1/token", ("eu-west-1", "token")),
        ("ssm:///team/token", ("", "team/token")),
        ("vault://secret/app#password", ("secret/app", "password")),
    ],
)
def test_each_form_has_its_parts(text: str, words: tuple[str, ...]) -> None:
    """A reference of each form is read into the parts that its store needs."""
    reference = secret_references.parse(text)
    assert reference.words == words
    assert reference.text == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "token", "http://x", "env://", "env://A-B", "env://A=B", "file://x", "file://../x"),
        *(
            "file:///a/../b",
            "cmd://",
            "cmd://'",
            "keyring://a",
            "keyring:///a",
            "op://a",
            "op://a//b",
        ),
        *("ssm://a", "ssm://--x/y", "vault://a", "vault://-x#y", "vault://#y", "cmd://a\nb"),
    ],
)
def test_what_is_no_reference(text: str) -> None:
    """A broken reference is found when the file is read: an option, a way up, or a missing part."""
    with pytest.raises(ValueError):
        secret_references.parse(text)


@given(
    st.text(), st.sampled_from(["", "env://", "file:///", "cmd://", "op://", "ssm://", "vault://"])
)
def test_any_text_is_read_or_refused(text: str, scheme: str) -> None:
    """No text is an error of another kind, and what is read is printable."""
    with contextlib.suppress(ValueError):
        assert all(word.isprintable() for word in secret_references.parse(scheme + text).words)


def test_the_variable_has_a_name() -> None:
    """The names of the section are those of variables."""
    secret_references.check("TOKEN", "env://X")
    with pytest.raises(ValueError, match="not the name of a variable"):
        secret_references.check("A-B", "env://X")
