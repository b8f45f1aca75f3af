"""Credentials on standard input."""

from __future__ import annotations

import io
import json
import sys

import pytest

from moat.credentials.obtaining.typed import read_stdin
from moat.errors import UsageError
from moat.providers import catalog
from moat.providers.recipe import Recipe, Typed

SECRET = "s3cret-that-nobody-sees"
ONE = Recipe(provider="one", title="One")
PAIR = Recipe(
    provider="pair",
    title="Pair",
    typed=(
        Typed(name="key"),
        Typed(name="secret"),
        Typed(name="session", optional=True),
        Typed(name="region", secret=False, optional=True),
    ),
)


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.mark.parametrize(
    "text", [SECRET, f"{SECRET}\n", f" {SECRET}\r\n", json.dumps({"token": SECRET})]
)
def test_one_secret_is_given_as_it_is(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """White space around it is no part of it; JSON with its name will do, too."""
    given(monkeypatch, text)
    assert read_stdin(ONE).fields == {"token": SECRET}


def test_a_secret_may_look_like_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with a brace and is no JSON is the secret."""
    given(monkeypatch, "{" + SECRET)
    assert read_stdin(ONE).fields == {"token": "{" + SECRET}


def test_several_fields_are_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets become fields, the rest attributes, and what is empty isn't there."""
    given(monkeypatch, json.dumps({"key": "k", "secret": SECRET, "session": "", "region": "eu"}))
    found = read_stdin(PAIR)
    assert found.fields == {"key": "k", "secret": SECRET}
    assert found.attributes == {"region": "eu"}
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("given_by_user", "attributes"),
    [
        ({"name": "X-Key", "prefix": ""}, {"name": "X-Key", "prefix": ""}),
        ({"name": "X-Key"}, {"name": "X-Key"}),
        ({"name": "", "prefix": ""}, {}),
    ],
)
def test_the_usual_prefix_can_be_given_up(
    monkeypatch: pytest.MonkeyPatch, given_by_user: dict[str, str], attributes: dict[str, str]
) -> None:
    """Most header fields but `Authorization` have the bare token."""
    given(monkeypatch, json.dumps({**given_by_user, "token": SECRET}))
    assert read_stdin(catalog.find("header").recipe).attributes == attributes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "no JSON object"),
        (json.dumps([SECRET]), "no JSON object"),
        (json.dumps({"key": "k", "secret": [SECRET]}), "no string"),
        (json.dumps({"key": SECRET, "sceret": "x"}), "unknown name 'sceret'"),
        ("[" * 60_000, "no JSON object"),
        (" \n", "is empty"),
    ],
)
def test_mistakes_are_told_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """The hint has the names that are expected."""
    given(monkeypatch, text)
    with pytest.raises(UsageError, match=words) as caught:
        read_stdin(PAIR)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
