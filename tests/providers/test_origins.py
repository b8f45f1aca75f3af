"""What the servers of each provider get, over real TLS, from a client that holds placeholders alone."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.egress.gateways import files, opened, secure

from moat.egress.authorization.held import HeldCredential
from moat.providers import catalog
from moat.providers.granting import grant_of

if TYPE_CHECKING:
    from pathlib import Path

    from moat.spec import Grant

SECRETS: Final = {
    name: f"real-{name.replace('_', '-')}-0123456789abcdef"
    for name in (
        *("token", "refresh_token", "id_token", "password", "api_key", "app_key"),
        *("access_key_id", "secret_access_key", "session_token"),
    )
}
ATTRIBUTES: Final = {"username": "me", "email": "me@example.com", "account_id": "acc-1"}
SIGNED: Final = (
    "Authorization: AWS4-HMAC-SHA256 Credential={access_key_id}/20261128/eu-west-1/sts/aws4_request,"
    f" SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\nX-Amz-Date: 20261128T120000Z"
)

BEARER: Final = "Authorization: Bearer {token}"
# Provider with scope, host, path, what the client sends, what the server gets.
CASES: Final = [
    ("anthropic", "api.anthropic.com", "/v1/messages", "x-api-key: {token}", "x-api-key: {token}"),
    ("aws", "sts.eu-west-1.amazonaws.com", "/", SIGNED, "Credential={access_key_id}/20261128/eu"),
    ("azure", "management.azure.com", "/subscriptions", BEARER, BEARER),
    ("azure-devops", "dev.azure.com", "/o/_git/r/info/refs", "", "basic :{token}"),
    ("azure-openai:x.openai.azure.com", "x.openai.azure.com", "/o", "", "api-key: {token}"),
    ("basic:api.example.com", "api.example.com", "/a", "", "basic me:{password}"),
    ("bitbucket", "api.bitbucket.org", "/2.0/user", "", "basic me@example.com:{token}"),
    (
        "bitbucket",
        *("bitbucket.org", "/w/r/info/refs?service=git-upload-pack"),
        *("", "basic x-bitbucket-api-token-auth:{token}"),
    ),
    (
        "cargo:crates.example.com",
        "crates.example.com",
        "/api/v1/crates/new",
        "Authorization: {token}",
        "Authorization: {token}",
    ),
    ("claude", "api.anthropic.com", "/v1/messages", BEARER, BEARER),
    ("codex", "chatgpt.com", "/backend-api/codex/responses", BEARER, BEARER),
    ("copilot", "api.individual.githubcopilot.com", "/chat/completions", BEARER, BEARER),
    (
        "datadog",
        "api.datadoghq.com",
        "/api/v2/logs",
        "DD-API-KEY: {api_key}",
        "DD-API-KEY: {api_key}",
    ),
    ("datadog:datadoghq.eu", "api.datadoghq.eu", "/api", "", "DD-APPLICATION-KEY: {app_key}"),
    ("docker", "auth.docker.io", "/token?service=x", "", "basic me:{password}"),
    ("gcp", "storage.googleapis.com", "/storage/v1/b", BEARER, BEARER),
    (
        "gemini",
        "generativelanguage.googleapis.com",
        "/v1beta/models",
        "",
        "x-goog-api-key: {token}",
    ),
    ("gemini", "generativelanguage.googleapis.com", "/v1?key={token}", "", "/v1?key={token}"),
    ("gemini-cli", "cloudcode-pa.googleapis.com", "/v1internal:loadCodeAssist", BEARER, BEARER),
    ("gemini-cli", "oauth2.googleapis.com", "/tokeninfo", BEARER, BEARER),
    ("github", "api.github.com", "/user", "Authorization: token {token}", BEARER),
    ("github", "raw.githubusercontent.com", "/o/r/main/a", "", BEARER),
    (
        "github",
        *("github.com", "/o/r.git/info/refs?service=git-upload-pack"),
        *("", "basic x-access-token:{token}"),
    ),
    ("github", "github.com", "/o/r/git-receive-pack", "", "basic x-access-token:{token}"),
    ("github", "github.com", "/o/r.git/info/lfs/objects/batch", "", "basic x-access-token:{token}"),
    ("github", "ghcr.io", "/token?scope=x", "", "basic x-access-token:{token}"),
    ("github-enterprise:git.corp.test", "git.corp.test", "/api/v3/user", BEARER, BEARER),
    ("gitlab", "gitlab.com", "/api/v4/user", "PRIVATE-TOKEN: {token}", "PRIVATE-TOKEN: {token}"),
    ("gitlab:git.corp.test", "git.corp.test", "/api/v4/user", BEARER, BEARER),
    ("gitlab", "gitlab.com", "/g/s/r.git/info/refs?service=x", "", "basic oauth2:{token}"),
    ("header:api.example.com", "api.example.com", "/a", "", BEARER),
    ("huggingface", "huggingface.co", "/api/whoami-v2", BEARER, BEARER),
    ("linear", "api.linear.app", "/graphql", "", "Authorization: {token}"),
    ("npm:npm.example.com", "npm.example.com", "/@me%2fpackage", BEARER, BEARER),
    ("oauth2:api.example.com", "api.example.com", "/a", BEARER, BEARER),
    ("openai", "api.openai.com", "/v1/responses", BEARER, BEARER),
    ("openrouter", "openrouter.ai", "/api/v1/chat/completions", BEARER, BEARER),
    ("path:hooks.example.com", "hooks.example.com", "/s/{token}/x", "", "/s/{token}/x"),
    ("pypi:up.example.com", "up.example.com", "/legacy/", "", "basic __token__:{token}"),
    ("query:api.example.com", "api.example.com", "/a?key=old", "", "/a?key={token}"),
    ("registry:hub.example.com", "hub.example.com", "/v2/", "", "basic me:{password}"),
    ("sentry", "us.sentry.io", "/api/0/projects/", BEARER, BEARER),
    ("telegram", "api.telegram.org", "/bot{token}/getMe", "", "/bot{token}/getMe"),
    ("vercel", "api.vercel.com", "/v2/user", BEARER, BEARER),
]


class Held:
    """The supervisor's part, with the secrets of this module."""

    def held(self, grant: Grant) -> HeldCredential | None:
        fields = {name: SECRETS[name] for name in grant.placeholders}
        return HeldCredential(fields, renewable=False)

    async def fetch(self, grant: Grant, rejected: HeldCredential | None) -> HeldCredential:
        raise AssertionError("everything is held")


def granted(named: str) -> Grant:
    """Return the grant of `PROVIDER[:SCOPE]`, of a credential that has all that it may have."""
    name, _, scope = named.partition(":")
    provider = catalog.find(name)
    fields = {each.name for each in provider.recipe.typed if each.secret}
    for login in (*provider.recipe.files, *provider.recipe.commands):
        fields |= login.fields.keys()
    return grant_of(provider, scope, "default", fields, provider.recipe.attributes | ATTRIBUTES)


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    if text.startswith("basic "):
        return f"Authorization: Basic {base64.b64encode(text[6:].encode()).decode()}"
    return text


@pytest.mark.parametrize(("named", "host", "path", "sent", "expected"), CASES)
async def test_the_server_gets_the_secret_where_it_looks_for_it(
    tmp_path: Path, named: str, host: str, path: str, sent: str, expected: str
) -> None:
    """The host is in the provider's list; the client's placeholder doesn't arrive anywhere."""
    grant = granted(named)
    run = tmp_path / "run"
    run.mkdir()
    with secure(tmp_path / "ca", host) as (origin, ca):
        ports = (origin.port,)
        local = replace(
            grant, injections=tuple(replace(each, ports=ports) for each in grant.injections)
        )
        network: dict[str, Any] = {"hosts": {host: "127.0.0.1"}, "upstream_ca": ca}
        async with opened(run, **network) as gateway:
            gateway.gateway.grant((local,), Held())
            seen = dict(grant.placeholders)
            head = [
                f"GET {filled(path, seen)} HTTP/1.1",
                f"Host: {host}:{origin.port}",
                *([filled(sent, seen)] if sent else []),
                *("Connection: close", "", ""),
            ]
            await gateway.ask(host, origin.port, "\r\n".join(head).encode(), tls=True)
    [received] = origin.heads
    assert filled(expected, SECRETS).lower() in received.decode().lower()
    assert not any(each.encode() in received for each in seen.values())
    assert not any(each.encode() in files(run) for each in SECRETS.values())


def test_each_provider_has_a_case() -> None:
    """A provider that no test asks for has hosts that nobody has tried."""
    tried = {named.partition(":")[0] for named, *_ in CASES}
    assert {each.id for each in catalog.PROVIDERS.all()} - tried == {"ssh"}
