"""The AWS CLI with a grant of AWS, before servers that recompute each signature with the real keys."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.e2e.clients.conftest import PROGRAMS, RUN_S
from tests.e2e.internet import Answer

if TYPE_CHECKING:
    from tests.e2e.clients.conftest import User
    from tests.e2e.internet import Asked

pytestmark = pytest.mark.timeout(3 * RUN_S)

REGION: Final = "eu-west-1"
KEY_ID, SECRET = "AKIAREALKEYOFTHEUSER", "r3al/s3cret+key/of/the/user/0123456789ab"
SESSION = "TheRealSessionToken/OfTheUser+0123456789abcdefghijklmnopq=="
SSM, PARAMETER = f"ssm.{REGION}.amazonaws.com", "a parameter's value"
STS, S3 = f"sts.{REGION}.amazonaws.com", f"bucket.s3.{REGION}.amazonaws.com"
IDENTITY: Final = """\
<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>AIDA</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


class Signed:
    """The part of AWS that checks signatures."""

    def __init__(self, session: str | None = SESSION) -> None:
        self._session = session
        self.payloads: list[str] = []
        """What was signed of each body: its hash, or why there is none."""
        self.objects: dict[str, bytes] = {}

    def sts(self, asked: Asked) -> Answer:
        refusal = self._refusal(asked, "sts")
        return refusal or Answer(IDENTITY.encode(), 200, {"Content-Type": "text/xml"})

    def ssm(self, asked: Asked) -> Answer:
        return self._refusal(asked, "ssm") or Answer.of({"Parameter": {"Value": PARAMETER}})

    def s3(self, asked: Asked) -> Answer:
        refusal = self._refusal(asked, "s3")
        if refusal:
            return refusal
        name = unquote(asked.path)
        if asked.method == "PUT":
            self.objects[name] = _content(asked)
            return Answer(headers={"ETag": '"1"'})
        content = self.objects[name]
        fields = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        fields |= {"Content-Length": str(len(content))} if asked.method == "HEAD" else {}
        return Answer(content, 200, fields)

    def _refusal(self, asked: Asked, service: str) -> Answer | None:
        if asked.headers.get("authorization") == self._expected(asked, service):
            return None
        error = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"
        return Answer(error, HTTPStatus.FORBIDDEN, {"Content-Type": "application/xml"})

    def _expected(self, asked: Asked, service: str) -> str:
        """Return the signature that botocore makes with the real keys."""
        signed = asked.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        headers = {
            name: value
            for name, value in asked.headers.items()
            if name in signed and name not in {"host", "x-amz-date", "x-amz-security-token"}
        }
        url = f"https://{asked.host}{asked.target}"
        request = AWSRequest(method=asked.method, url=url, data=asked.body, headers=headers)
        payload = asked.headers.get("x-amz-content-sha256")
        self.payloads.append(payload or "none")
        if payload and not payload.startswith(("STREAMING", "UNSIGNED")):
            assert payload == hashlib.sha256(asked.body).hexdigest()
        date = request.context["timestamp"] = asked.headers["x-amz-date"]
        kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
        auth = kind(Credentials(KEY_ID, SECRET, self._session), service, REGION)
        request.headers["X-Amz-Date"] = date
        if self._session:
            request.headers["X-Amz-Security-Token"] = self._session
        if payload:
            auth.payload = lambda _: payload
        canonical = auth.canonical_request(request)
        signature = auth.signature(auth.string_to_sign(request, canonical), request)
        names = auth.signed_headers(auth.headers_to_sign(request))
        return (
            f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names},"
            f" Signature={signature}"
        )


def _content(asked: Asked) -> bytes:
    """Return an object as it was sent, out of the chunks of AWS where it was sent in those."""
    if "aws-chunked" not in asked.headers.get("content-encoding", ""):
        return asked.body
    content, rest = b"", asked.body
    while size := int(rest.partition(b"\r\n")[0].partition(b";")[0], 16):
        start = rest.index(b"\r\n") + 2
        content += rest[start : start + size]
        rest = rest[start + size + 2 :]
    return content


@pytest.fixture
def aws(user: User) -> Signed:
    signed = Signed()
    user.internet.serve(STS, signed.sts)
    user.internet.serve(S3, signed.s3)
    fields = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "session_token": SESSION}
    user.grant("aws", json.dumps(fields | {"region": REGION}))
    return signed


def test_the_cli_asks_who_it_is(user: User, aws: Signed) -> None:
    """It signs with placeholders, and AWS sees the user's signature."""
    said = user.ok("aws sts get-caller-identity --query Arn --output text; env", "aws")
    assert said.startswith("arn:aws:iam::123456789012:user/me\n")
    for secret in (KEY_ID, SECRET, SESSION):
        assert secret not in said
    assert len(aws.payloads) == 1
    user.never_shown(SECRET, SESSION)


@pytest.mark.parametrize(
    ("checksums", "signing", "payload"),
    [
        ("when_supported", "true", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("when_required", "true", ""),  # the hash of the body
        ("when_required", "false", "UNSIGNED-PAYLOAD"),
    ],
)
def test_the_cli_copies_objects(
    user: User, aws: Signed, checksums: str, signing: str, payload: str
) -> None:
    """Also a body of which the signature says nothing, or in chunks with a checksum behind them."""
    user.ok(
        f"aws configure set default.s3.payload_signing_enabled {signing}\n"
        f"aws configure set default.request_checksum_calculation {checksums}\n"
        "head -c 2000000 /dev/urandom > large\n"
        "aws s3 cp --no-progress large 's3://bucket/a folder/large+1'\n"
        "aws s3 cp --no-progress 's3://bucket/a folder/large+1' back; cmp large back",
        "aws",
    )
    assert len(aws.objects["/a folder/large+1"]) == 2_000_000
    assert aws.payloads[0].startswith(payload)
    user.never_shown(SECRET, SESSION)


def test_a_parameter_is_looked_up_for_a_run(user: User) -> None:
    """By the user's own `aws`, which signs with the user's own keys: no run is there yet."""
    signed = Signed(session=None)
    user.internet.serve(SSM, signed.ssm)
    user.moat.environment |= {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CA_BUNDLE": str(user.internet.certificate),
    }
    settings = json.loads(user.internet.settings())
    settings["programs"] = {"aws": str(PROGRAMS / "aws")}
    settings["secrets"] = {"PARAMETER": f"ssm://{REGION}//team/token"}
    user.moat.write_settings(json.dumps(settings))
    assert user.ok("printenv PARAMETER") == f"{PARAMETER}\n"
    assert [each.headers["x-amz-target"] for each in user.internet.asked] == [
        "AmazonSSM.GetParameter"
    ]
    assert json.loads(user.internet.asked[0].body) == {
        "Name": "/team/token",
        "WithDecryption": True,
    }
    user.never_shown(SECRET)
