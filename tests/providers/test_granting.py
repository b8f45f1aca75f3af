"""A run's grant of a provider: what it says, and what it leaves out."""

from __future__ import annotations

import base64
import json

import pytest

from moat.errors import UsageError
from moat.providers import catalog
from moat.providers.granting import grant_of
from moat.spec import Grant, Refresh


def grant(name: str, *fields: str, scope: str = "", **attributes: str) -> Grant:
    provider = catalog.find(name)
    known = {**provider.recipe.attributes, **attributes}
    return grant_of(provider, scope, "default", fields, known)


def test_the_sandbox_sees_placeholders_of_this_run() -> None:
    """Two runs see different ones, so what one run leaks is of no use to another."""
    first, second = grant("github", "token"), grant("github", "token")
    assert first.env["GH_TOKEN"] == first.placeholders["token"]
    assert first.placeholders != second.placeholders


def test_a_secret_stays_a_name_in_the_specification() -> None:
    """Only the proxy puts it in."""
    values = [each.value for each in grant("github", "token").injections]
    assert all("{token}" in value for value in values)


def test_parts_that_the_credential_does_not_have_are_left_out() -> None:
    """Long-lived keys of AWS have no session token, and then no variable says so."""
    env = grant("aws", "access_key_id", "secret_access_key").env
    assert set(env) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_a_credential_that_no_request_could_use_is_refused() -> None:
    """Otherwise the run would find out, request by request."""
    with pytest.raises(UsageError, match="lacks what requests need"):
        grant("anthropic", "password")


def test_a_scope_names_the_host() -> None:
    """A provider for hosts of one's own goes to that host and no other."""
    assert grant("gitlab", "token", scope="git.corp.test").injections[0].hosts == ("git.corp.test",)
    assert grant("gitlab", "token").injections[0].hosts == ("gitlab.com",)


@pytest.mark.parametrize("scope", ["*", "**.example.com", "a b", "10.0.0.1", "host/path", "-a.b"])
def test_a_scope_is_one_host(scope: str) -> None:
    """A pattern in its place would send the credential to strangers."""
    with pytest.raises(UsageError):
        grant("gitlab", "token", scope=scope)


def test_an_attribute_that_is_no_host_opens_none() -> None:
    """Attributes come from a file or from the provider's answer."""
    with pytest.raises(UsageError):
        grant("datadog", "api_key", site="example.com/.evil.test")


@pytest.mark.parametrize(("name", "scope"), [("github", "x"), ("basic", "")])
def test_a_scope_where_none_belongs_or_none_where_one_is_needed(name: str, scope: str) -> None:
    """The error says which of the two it is."""
    with pytest.raises(UsageError):
        grant(name, "token", "password", scope=scope, username="me")


def test_files_hold_placeholders_in_their_own_form() -> None:
    """Docker wants user and password in base64, and JSON wants quotes escaped."""
    made = grant("docker", "password", username='a"b')
    content = json.loads(made.files[0].content)
    encoded = content["auths"]["https://index.docker.io/v1/"]["auth"]
    assert base64.b64decode(encoded).decode() == f'a"b:{made.placeholders["password"]}'


def test_a_login_that_never_ends_has_the_account() -> None:
    """Codex reads its account out of a token, and would renew one that ends soon."""
    made = grant("codex", "token", "refresh_token", "id_token", account_id="acc-1")
    tokens = json.loads(made.files[0].content)["tokens"]
    payload = tokens["id_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["https://api.openai.com/auth"]["chatgpt_account_id"] == "acc-1"
    assert claims["exp"] > 4e9


def test_a_refresh_token_alone_is_enough() -> None:
    """The access token is fetched at the first use, and has a placeholder already."""
    made = grant("gcp", "refresh_token", client_id="id", client_secret="known")
    assert made.env["CLOUDSDK_AUTH_ACCESS_TOKEN"] == made.placeholders["token"]
    assert made.refresh == Refresh(
        token_url="https://oauth2.googleapis.com/token", client_id="id", client_secret="known"
    )


def test_a_scope_has_the_logins_that_are_looked_up_by_it() -> None:
    """The login of gitlab.com must not be sent to another host."""
    provider = catalog.find("gitlab")
    [usual] = provider.recipe_for("").files
    [other] = provider.recipe_for("git.corp.test").files
    assert usual.fields == {"token": "hosts/gitlab.com/token"}
    assert other.fields == {"token": "hosts/git.corp.test/token"}
    assert catalog.find("github-enterprise").recipe_for("git.corp.test").commands[0].arguments == (
        *("auth", "token", "--hostname", "git.corp.test"),
    )
