"""Statements about a run for programs that know in-toto: what ran, on what, what came of it. Pure.

A statement is one of in-toto (version 1) with the predicate of SLSA provenance (version 1), in a DSSE
envelope that the installation's key signs. It says nothing that the run's bundle doesn't prove better;
it says it in words that supply-chain tools read. docs/audit.md has its fields.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moat.audit.entry import canonical
from moat.audit.proofs import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.audit.checkpoint import Signer

PAYLOAD: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://slsa.dev/provenance/v1"
_KIND: Final = "urn:moat:run:v1"


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """The digest of a workspace, and of how many files it is."""

    digest: str
    files: int
    unread: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a statement says of a run."""

    run: str
    version: str
    spec: str
    """SHA-256 of the specification, as the log has it."""
    checkpoint: str
    """The newest signed note of the log."""
    closed: bool
    started: str | None
    stopped: str | None
    exit_code: int | None
    parameters: Mapping[str, Any]
    """What the user asked for: command, workspace, engine, grants."""
    policy: Mapping[str, Any]
    """What the run was allowed."""
    image: str = ""
    before: TreeFacts | None = None
    after: TreeFacts | None = None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of the files that the run has changed, by their paths."""


def statement(facts: RunFacts, public: bytes, *, redacted: bool = False) -> dict[str, Any]:
    """Return the statement. `redacted`: digests alone, no words of the user's and no names of files."""
    log = {"name": f"moat/{facts.run}", "digest": {"sha256": _root(facts.checkpoint)}}
    listed = [
        {"name": name, "digest": {"sha256": each}} for name, each in sorted(facts.files.items())
    ]
    return {
        "_type": _STATEMENT,
        "subject": [log] if redacted else [log, *listed],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _KIND,
                "externalParameters": {} if redacted else dict(facts.parameters),
                "internalParameters": {} if redacted else dict(facts.policy),
                "resolvedDependencies": _inputs(facts, redacted=redacted),
            },
            "runDetails": {
                "builder": {
                    "id": f"urn:moat:installation:{hashlib.sha256(public).hexdigest()}",
                    "version": {"moat": facts.version},
                },
                "metadata": _metadata(facts),
                "byproducts": _byproducts(facts),
            },
        },
    }


def envelope(content: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Return a DSSE envelope (version 1) around a statement."""
    payload = canonical(content)
    # Pre-authentication encoding: neither part can be taken for the other.
    signed = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
    return {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": hashlib.sha256(signer.public).hexdigest(),
                "sig": base64.b64encode(signer.sign(signed)).decode(),
            }
        ],
    }


def _root(checkpoint: str) -> str:
    return read_checkpoint(checkpoint).root.hex()


def _metadata(facts: RunFacts) -> dict[str, Any]:
    times = {"startedOn": facts.started, "finishedOn": facts.stopped}
    return {"invocationId": facts.run, **{name: each for name, each in times.items() if each}}


def _inputs(facts: RunFacts, *, redacted: bool) -> list[dict[str, Any]]:
    inputs: list[dict[str, Any]] = [{"name": "spec.json", "digest": {"sha256": facts.spec}}]
    if facts.before is not None:
        inputs.append(_tree("workspace at the start", facts.before))
    if facts.image and not redacted:
        found: dict[str, Any] = {"name": "image", "uri": facts.image}
        kind, colon, digest = facts.image.rpartition("@")[2].partition(":")
        if colon and kind == "sha256" and len(digest) == 64:
            found["digest"] = {"sha256": digest}
        inputs.append(found)
    return inputs


def _byproducts(facts: RunFacts) -> list[dict[str, Any]]:
    note = facts.checkpoint.encode()
    exit_code = {} if facts.exit_code is None else {"exitCode": facts.exit_code}
    listed: list[dict[str, Any]] = [
        {
            "name": "checkpoint",
            "digest": {"sha256": hashlib.sha256(note).hexdigest()},
            "content": base64.b64encode(note).decode(),
            "mediaType": "text/plain",
            "annotations": {"closed": facts.closed, **exit_code},
        }
    ]
    if facts.after is not None:
        listed.append(_tree("workspace at the end", facts.after))
    return listed


def _tree(name: str, tree: TreeFacts) -> dict[str, Any]:
    return {
        "name": name,
        "digest": {"moatTree": tree.digest},
        "annotations": {"files": tree.files, "unread": tree.unread},
    }
