"""Which requests use a grant, and what goes upstream then."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from moat.egress.authorization.choice import Grants, Refusal
from moat.egress.authorization.places import UnusableCredentialError
from moat.egress.authorization.placing import Outgoing, with_credential
from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import RequestHead
from moat.spec import Grant, Injection, Refresh

if TYPE_CHECKING:
    from moat.spec.grants import InjectionKind

API = Destination("https", "api.github.com", 443)
SECRETS = {"token": "s3cret"}
GITHUB = Grant(
    provider="github",
    injections=(
        Injection(hosts=("api.github.com",)),
        Injection(hosts=("github.com",), kind="basic", value="x-access-token:{token}"),
    ),
    placeholders={"token": "ghp_placeholder"},
)


def head(*fields: tuple[str, str], method: str = "GET") -> RequestHead:
    return RequestHead(method, "/", [(name.encode(), value.encode()) for name, value in fields])


def sent(
    request: RequestHead,
    *grants: Grant,
    destination: Destination = API,
    target: str = "/user",
) -> Outgoing | str:
    """Return what goes upstream, or why nothing does."""
    uses = Grants(grants or (GITHUB,)).uses(request, destination, target)
    if isinstance(uses, Refusal):
        return uses.why
    outgoing = Outgoing(request, target)
    for use in uses:
        outgoing = with_credential(outgoing, use, SECRETS)
    return outgoing


def fields_sent(request: RequestHead, *grants: Grant, **at: Destination) -> list[tuple[str, str]]:
    outgoing = sent(request, *grants, **at)
    assert not isinstance(outgoing, str), outgoing
    return [(name.decode(), value.decode()) for name, value in outgoing.request.fields]


def test_a_request_gets_the_credential() -> None:
    """A client that knows nothing of it gets it as well; its own request stays as it was."""
    request = head(("accept", "*/*"))
    assert fields_sent(request) == [("accept", "*/*"), ("authorization", "Bearer s3cret")]
    assert request.fields == [(b"accept", b"*/*")]


@pytest.mark.parametrize("names", [("Authorization",), ("authorization", "AUTHORIZATION"), ()])
def test_what_the_client_sent_in_its_place_is_dropped(names: tuple[str, ...]) -> None:
    """In any case, and however often."""
    request = head(*((name, "Bearer of-the-attacker") for name in names))
    assert fields_sent(request) == [("authorization", "Bearer s3cret")]


def test_a_name_that_servers_take_for_it_is_dropped() -> None:
    """Servers that pass fields as variables take `_` for `-`."""
    grant = Grant(
        provider="x", injections=(Injection(hosts=("a.test",), name="x-api-key", value="{token}"),)
    )
    at = Destination("https", "a.test", 443)
    request = head(("X_API_Key", "own"), ("x-api_key", "own"))
    assert fields_sent(request, grant, destination=at) == [("x-api-key", "s3cret")]


def test_basic_authentication() -> None:
    """Git over HTTPS has a user's name and a password."""
    value = base64.b64encode(b"x-access-token:s3cret").decode()
    at = Destination("https", "github.com", 443)
    assert fields_sent(head(), destination=at) == [("Authorization", f"Basic {value}")]


@pytest.mark.parametrize(
    "destination",
    [
        Destination("http", "api.github.com", 80),
        Destination("http", "api.github.com", 443),
        Destination("https", "api.github.com", 8443),
        Destination("https", "api.github.com.evil.test", 443),
        Destination("https", "evil-api.github.com", 443),
        Destination("https", "xapi.github.com", 443),
        Destination("https", "140.82.121.6", 443),
    ],
    ids=lambda each: f"{each.scheme}-{each.host}-{each.port}",
)
def test_nobody_else_gets_it(destination: Destination) -> None:
    """Another name, another port, and a server that has not proved its name."""
    request = head(("authorization", "token ghp_placeholder"))
    assert fields_sent(request, destination=destination) == [
        ("authorization", "token ghp_placeholder")
    ]


@pytest.mark.parametrize(
    "request_", [head(method="TRACE"), head(method="OPTIONS"), head(("Max-Forwards", "0"))]
)
def test_requests_that_may_come_back_get_none(request_: RequestHead) -> None:
    """TRACE answers with the request as the server got it."""
    assert "s3cret" not in repr(fields_sent(request_))


@pytest.mark.parametrize(
    "field",
    ["X-Api-Key", "x_api_key", "PRIVATE-TOKEN", "X-Goog-Api-Key"],
)
def test_a_credential_of_its_own_is_refused(field: str) -> None:
    """It might win over the injected one, and the agent would write into another account."""
    refused = sent(head((field, "of-the-attacker")))
    assert isinstance(refused, str)
    assert "a credential of its own" in refused
    refused = sent(head(), target="/user?x=1&access_token=of-the-attacker")
    assert isinstance(refused, str)


def own(kind: InjectionKind, name: str = "X-Key") -> Grant:
    """A grant that comes in where its placeholder stands, at a place of the provider's own."""
    injection = Injection(hosts=("api.github.com",), kind=kind, name=name, replace=True)
    return Grant(provider="own", injections=(injection,), placeholders={"token": "placeholder"})


@pytest.mark.parametrize(
    ("kind", "fields", "target"),
    [
        ("header", [("X-Key", "of-the-attacker")], "/"),
        ("header", [("x_key", "of-the-attacker")], "/?placeholder"),
        ("header", [("X-Key", "of-the-attacker"), ("X-Key", "placeholder")], "/"),
        ("query", [], "/?x-key=of-the-attacker"),
        ("query", [("a", "placeholder")], "/?X%2dKey=of-the-attacker&x-key=placeholder"),
        ("path", [], "/of-the-attacker/send"),
        ("path", [("a", "placeholder")], "/of-the-attacker/send?placeholder"),
    ],
)
def test_another_credential_in_the_grants_own_place_is_refused(
    kind: InjectionKind, fields: list[tuple[str, str]], target: str
) -> None:
    """What is replaced where it stands is all the more refused where another one stands."""
    refused = sent(head(*fields), own(kind), target=target)
    assert isinstance(refused, str), refused
    assert "credential" in refused


def test_of_two_basic_credentials_both_must_be_the_grants() -> None:
    """A server may take either; each is looked into, since its placeholder is coded."""
    ours, theirs = (base64.b64encode(each).decode() for each in (b"a:placeholder", b"a:b"))
    grant = own("header", "authorization")
    assert not isinstance(sent(head(("authorization", f"Basic {ours}")), grant), str)
    both = head(("authorization", f"Basic {ours}"), ("authorization", f"Basic {theirs}"))
    assert isinstance(sent(both, grant), str)


def test_a_secret_comes_into_its_own_parameter_alone() -> None:
    """In another one a server may keep it as text, for whoever reads that."""
    target = (
        "/?text=placeholder&x-key=placeholder;X%2DKEY=a-placeholder&placeholder&x-keys=placeholder"
    )
    outgoing = sent(head(), own("query"), target=target)
    assert not isinstance(outgoing, str), outgoing
    assert outgoing.target == (
        "/?text=placeholder&x-key=s3cret;X%2DKEY=a-s3cret&placeholder&x-keys=placeholder"
    )


def test_grants_are_told_apart_by_placeholders() -> None:
    """Two accounts for one host: the request names the one it means, or is refused."""
    work = Grant(
        provider="github",
        profile="work",
        injections=GITHUB.injections,
        placeholders={"token": "ghp_work"},
    )
    chosen = Grants((GITHUB, work)).uses(head(("authorization", "token ghp_work")), API, "/user")
    assert [each.grant.profile for each in chosen] == ["work"]  # type: ignore[union-attr]
    basic = base64.b64encode(b"x:ghp_work").decode()
    at = Destination("https", "github.com", 443)
    chosen = Grants((GITHUB, work)).uses(head(("authorization", f"Basic {basic}")), at, "/a.git")
    assert [each.grant.profile for each in chosen] == ["work"]  # type: ignore[union-attr]
    refused = sent(head(), GITHUB, work)
    assert (
        refused
        == "several grants are for this host (github, github@work), and it names none of them"
    )


@pytest.mark.parametrize(
    ("target", "gets"),
    [
        ("/v1/a", True),
        ("/v1/a/b", True),
        ("/v2/a", False),
        ("/v1/../v2/a", False),
        ("/v1/%2e%2e/v2/a", False),
        ("/v1/a%2fb", False),
        ("/v1//..//../v2", False),
        ("/v2/../v1/a", False),
        ("/%2E/v1/a", False),
        ("/v1/a?x=/../v2", True),
        ("/v1/..a", True),
    ],
)
def test_paths_must_match_however_a_server_reads_them(target: str, gets: bool) -> None:
    """A path that some server reads in another way gets no credential."""
    grant = Grant(
        provider="x",
        injections=(Injection(hosts=("a.test",), methods=("GET",), paths=("/v1/**",)),),
    )
    at = Destination("https", "a.test", 443)
    outgoing = sent(head(), grant, destination=at, target=target)
    assert isinstance(outgoing, Outgoing)
    assert bool(outgoing.request.fields) is gets
    posted = sent(head(method="POST"), grant, destination=at, target=target)
    assert isinstance(posted, Outgoing)
    assert posted.request.fields == []


def test_a_query_gets_the_parameter_once() -> None:
    """What the client sent under its name, in any spelling, is dropped."""
    grant = Grant(
        provider="x",
        injections=(Injection(hosts=("a.test",), kind="query", name="key", value="{token}"),),
    )
    outgoing = sent(
        head(),
        grant,
        destination=Destination("https", "a.test", 443),
        target="/p?a=1&key=own;k%65y=own&KEY=own",
    )
    assert isinstance(outgoing, Outgoing)
    assert outgoing.target == "/p?a=1&key=s3cret"


def test_a_placeholder_in_the_path_is_replaced() -> None:
    """Telegram's token is a part of the path, with its colon."""
    grant = Grant(
        provider="telegram",
        injections=(Injection(hosts=("api.telegram.org",), kind="path", replace=True),),
        placeholders={"token": "123456:placeholder"},
    )
    outgoing = sent(
        head(),
        grant,
        destination=Destination("https", "api.telegram.org", 443),
        target="/bot123456:placeholder/getMe?x=123456:placeholder",
    )
    assert isinstance(outgoing, Outgoing)
    assert outgoing.target == "/bots3cret/getMe?x=123456:placeholder"


def test_a_placeholder_in_a_field_is_replaced_where_the_provider_says_so() -> None:
    """A request without it goes on as it is."""
    grant = Grant(
        provider="x",
        injections=(Injection(hosts=("a.test",), replace=True),),
        placeholders={"token": "placeholder-1"},
    )
    at = Destination("https", "a.test", 443)
    request = head(("Authorization", "Token placeholder-1; x"))
    assert fields_sent(request, grant, destination=at) == [("Authorization", "Token s3cret; x")]
    assert fields_sent(head(), grant, destination=at) == []
    own = sent(head(("Authorization", "Bearer own")), grant, destination=at)
    assert isinstance(own, str)


@pytest.mark.parametrize("secret", ["a\r\nHost: evil.test", "a\0b", "a\x7f"])
def test_a_secret_that_would_be_more_than_a_value_is_refused(secret: str) -> None:
    """A field ends at the end of its line."""
    (use,) = Grants((GITHUB,)).uses(head(), API, "/")  # type: ignore[misc]
    with pytest.raises(UnusableCredentialError, match="no request can carry"):
        with_credential(Outgoing(head(), "/"), use, {"token": secret})
    with pytest.raises(UnusableCredentialError, match="has no token"):
        with_credential(Outgoing(head(), "/"), use, {})


@pytest.mark.parametrize(
    ("target", "refused"),
    [("/v1/oauth/token", True), ("/v1//oauth/%74oken?x=1", True), ("/v1/oauth/other", False)],
)
def test_the_sandbox_renews_no_credential(target: str, *, refused: bool) -> None:
    """The answer would hold new tokens, and rotate those of the user."""
    grant = Grant(
        provider="claude",
        injections=(Injection(hosts=("api.claude.test",)),),
        refresh=Refresh(token_url="https://login.claude.test/v1/oauth/token"),
    )
    destination = Destination("https", "login.claude.test", 443)
    outgoing = sent(head(method="POST"), grant, destination=destination, target=target)
    assert isinstance(outgoing, str) is refused
    assert Grants([grant]).concern(destination)
