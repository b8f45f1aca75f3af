"""Statements, as in-toto's own libraries read them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from tests.audit.logs import OURS, RUN, THEIRS

from moat.audit import checkpoint
from moat.audit.statement import PAYLOAD, RunFacts, TreeFacts, envelope, statement

NOTE = checkpoint.signed(RUN, 8, bytes(32), OURS)
FACTS = RunFacts(
    run=RUN,
    version="1.2.3",
    spec="ab" * 32,
    checkpoint=NOTE,
    closed=True,
    started="2027-01-15T08:00:00.000Z",
    stopped="2027-01-15T08:01:00.000Z",
    exit_code=0,
    parameters={"command": ["make", "wörld"], "grants": []},
    policy={"network": {"policy": "strict", "rules": 2}},
    image="ghcr.io/x/y@sha256:" + "cd" * 32,
    before=TreeFacts("01" * 32, 7, 1),
    after=TreeFacts("02" * 32, 8, 1),
    files={"src/ä.c": "ef" * 32},
)


def sealed(facts: RunFacts = FACTS, **options: Any) -> bytes:
    """An envelope, as it lies in a file."""
    return json.dumps(envelope(statement(facts, OURS.public, **options), OURS)).encode()


def opened(data: bytes) -> dict[str, Any]:
    """The statement of an envelope, checked by the libraries of in-toto."""
    found = Envelope.from_dict(json.loads(data))
    found.verify([key(OURS.public)], threshold=1)
    assert found.payload_type == PAYLOAD
    parsed = json_format.Parse(found.payload, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    content = json.loads(found.payload)
    # Unknown fields of a predicate are an error.
    json_format.ParseDict(content["predicate"], provenance_pb2.Provenance())
    return content


def key(public: bytes) -> SSlibKey:
    name = hashlib.sha256(public).hexdigest()
    return SSlibKey(name, "ed25519", "ed25519", {"public": public.hex()})


def test_the_libraries_of_in_toto_read_it() -> None:
    """Envelope, statement and predicate are as their specifications say."""
    content = opened(sealed())
    assert [each["name"] for each in content["subject"]] == [f"moat/{RUN}", "src/ä.c"]
    definition = content["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["command"] == ["make", "wörld"]
    assert definition["internalParameters"]["network"] == {"policy": "strict", "rules": 2}
    names = [each["name"] for each in definition["resolvedDependencies"]]
    assert names == ["spec.json", "workspace at the start", "image"]
    assert definition["resolvedDependencies"][2]["digest"] == {"sha256": "cd" * 32}
    details = content["predicate"]["runDetails"]
    assert details["metadata"]["invocationId"] == RUN
    note, tree = details["byproducts"]
    assert base64.b64decode(note["content"]).decode() == NOTE
    assert note["annotations"] == {"closed": True, "exitCode": 0}
    assert tree["digest"] == {"moatTree": "02" * 32}


def test_redacted_it_has_digests_alone() -> None:
    """No command, no policy, no name of the user's; what binds it to the run stays."""
    data = sealed(redacted=True)
    text = json.dumps(opened(data))
    for word in ("make", "strict", "src/", "ghcr.io"):
        assert word not in text
    assert "ab" * 32 in text
    assert "01" * 32 in text


def test_what_is_not_known_is_not_said() -> None:
    """A run without an image, an exit code or a record of its workspace."""
    bare = replace(
        FACTS,
        image="",
        before=None,
        after=None,
        files={},
        started=None,
        stopped=None,
        exit_code=None,
    )
    content = opened(sealed(bare))
    assert content["predicate"]["runDetails"]["metadata"] == {"invocationId": RUN}
    assert len(content["predicate"]["buildDefinition"]["resolvedDependencies"]) == 1
    tagged = opened(sealed(replace(bare, image="debian:12")))
    assert tagged["predicate"]["buildDefinition"]["resolvedDependencies"][1] == {
        "name": "image",
        "uri": "debian:12",
    }


@pytest.mark.parametrize("part", ["payload", "payloadType"])
def test_a_changed_envelope(part: str) -> None:
    """Content and type are both signed; so is the key that signs the one who may."""
    found = json.loads(sealed())
    found[part] = base64.b64encode(b"{}").decode() if part == "payload" else "text/plain"
    with pytest.raises(VerificationError):
        Envelope.from_dict(found).verify([key(OURS.public)], threshold=1)
    with pytest.raises(VerificationError):
        Envelope.from_dict(json.loads(sealed())).verify([key(THEIRS.public)], threshold=1)
