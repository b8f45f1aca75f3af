"""Grants of one run can be told apart, or are refused."""

from __future__ import annotations

import json

import pytest

from moat.errors import UsageError
from moat.providers.collisions import told_apart
from moat.spec import Grant, Injection, SandboxFile


def grant(profile: str = "default", provider: str = "one", **fields: object) -> Grant:
    text = f"placeholder-{provider}-{profile}"
    given: dict[str, object] = {
        "injections": (Injection(hosts=("api.example.com",)),),
        "placeholders": {"token": text},
        "env": {f"{provider.upper()}_TOKEN": text},
    }
    return Grant(provider=provider, profile=profile, **(given | fields))  # type: ignore[arg-type]


def test_a_second_account_has_variables_of_its_own() -> None:
    """Programs take the usual one, and the other where somebody says so, in whatever order."""
    first, second = told_apart([grant("work-2"), grant()])
    assert list(first.env) == ["ONE_TOKEN"]
    assert list(second.env) == ["ONE_TOKEN_WORK_2"]


def test_two_providers_do_not_share_a_variable() -> None:
    """One of them would be without it, and nobody could say which."""
    with pytest.raises(UsageError, match="set X_TOKEN"):
        told_apart([grant(env={"X_TOKEN": "a"}), grant(provider="two", env={"X_TOKEN": "b"})])


def test_one_header_of_one_host_needs_placeholders() -> None:
    """A program that sees neither placeholder could not say which credential it means."""
    unseen = grant(provider="two", env={})
    with pytest.raises(UsageError, match=r"are both for api\.example\.com"):
        told_apart([grant(), unseen])
    told_apart([grant(), grant(provider="two")])


@pytest.mark.parametrize(
    "other",
    [
        Injection(hosts=("api.example.com",), kind="query", name="key"),
        Injection(hosts=("api.example.com",), ports=(8443,)),
        Injection(hosts=("*.example.org",)),
    ],
)
def test_other_places_are_no_collision(other: Injection) -> None:
    """Another parameter, port or host is another place."""
    told_apart([grant(), grant(provider="two", env={}, injections=(other,))])


@pytest.mark.parametrize("hosts", [("*.example.com",), ("**.com",)])
def test_patterns_that_may_mean_one_host_collide(hosts: tuple[str, ...]) -> None:
    """A pattern is compared with names and with other patterns."""
    other = grant(provider="two", env={}, injections=(Injection(hosts=hosts),))
    with pytest.raises(UsageError):
        told_apart([grant(), other])


def test_files_of_one_path_are_joined_where_they_can_be() -> None:
    """Docker Hub and another registry share a file; each grant adds its own part."""
    first, second = (
        grant(provider=name, files=(SandboxFile(path="c.json", content=text),))
        for name, text in (("one", '{"auths": {"a": 1}}'), ("two", '{"auths": {"b": 2}}'))
    )
    made = told_apart([first, second])
    [file] = [each for grant in made for each in grant.files]
    assert json.loads(file.content) == {"auths": {"a": 1, "b": 2}}


@pytest.mark.parametrize("text", ["other", '{"a": 2}'])
def test_files_that_differ_are_refused(text: str) -> None:
    """One grant would take away what the other needs."""
    first = grant(files=(SandboxFile(path="c", content='{"a": 1}'),))
    second = grant(provider="two", files=(SandboxFile(path="c", content=text),))
    with pytest.raises(UsageError, match="need the same file"):
        told_apart([first, second])
