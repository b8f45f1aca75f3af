"""Credentials in variables."""

from __future__ import annotations

import pytest

from moat.credentials.obtaining.environment import find
from moat.providers.recipe import SOURCES, OAuth, Recipe, Typed

AWS = Recipe(
    provider="aws",
    title="AWS",
    typed=(
        Typed(name="access_key_id"),
        Typed(name="secret_access_key"),
        Typed(name="session_token", optional=True),
    ),
    variables=(
        {
            "access_key_id": ("AWS_ACCESS_KEY_ID",),
            "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
            "session_token": ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        },
    ),
    attribute_variables={"region": ("AWS_REGION", "AWS_DEFAULT_REGION")},
)
PAIR = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}


@pytest.mark.parametrize(
    ("environment", "fields"),
    [
        (PAIR, {"access_key_id": "id", "secret_access_key": "key"}),
        (
            PAIR | {"AWS_SESSION_TOKEN": "", "AWS_SECURITY_TOKEN": "t"},
            {"access_key_id": "id", "secret_access_key": "key", "session_token": "t"},
        ),
        ({"AWS_ACCESS_KEY_ID": "id"}, None),
        ({"AWS_SESSION_TOKEN": "t"}, None),
        (PAIR | {"AWS_ACCESS_KEY_ID": ""}, None),
        ({}, None),
    ],
)
def test_a_set_of_variables_counts_as_a_whole(
    environment: dict[str, str], fields: dict[str, str] | None
) -> None:
    """A credential of several fields is there when all that it needs are, and none is empty."""
    found = find(AWS, environment)
    assert (found and found.fields) == fields


def test_it_says_from_where() -> None:
    """The variables are named, and attributes come from others."""
    found = find(AWS, PAIR | {"AWS_DEFAULT_REGION": "eu-west-1"})
    assert found is not None
    assert found.origin == "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    assert found.attributes == {"region": "eu-west-1"}
    assert "key" not in repr(found).replace("secret_access_key", "").replace("KEY", "")


def test_a_recipe_knows_its_ways() -> None:
    """The ways of a provider are those that it says something of, in the order of trying."""
    assert AWS.sources == ("env", "prompt", "stdin")
    client = OAuth(client_id="c", token_url="t", device_url="d", authorize_url="a")
    assert Recipe(provider="x", title="X", oauth=client).sources == SOURCES[2:]
    assert Recipe(provider="x", title="X", typed=()).sources == ()
