"""`moat audit statement`."""

from __future__ import annotations

import json
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import click

from moat.cli.arguments import output_option, run_argument
from moat.cli.audit_own import verify_own
from moat.cli.found import find
from moat.cli.grant import refuse_inside_run
from moat.cli.new_file import write_new
from moat.errors import MoatError, UsageError
from moat.runs.store import Store
from moat.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from moat.audit.statement import RunFacts, TreeFacts
    from moat.paths import RunFolder
    from moat.runs.store import Run
    from moat.spec import RunSpec
    from moat.workspace.changes import Changes, Tree


@click.command("statement")
@run_argument()
@output_option
@click.option(
    "--redact",
    "redacted",
    is_flag=True,
    help="Digests alone: no command, no policy, no names of files.",
)
def command(run: str | None, file: Path, *, redacted: bool) -> None:
    """Write what an ended run did as a signed in-toto statement, for supply-chain tools.

    It is a DSSE envelope with SLSA provenance: command, image, policy, digests of the workspace before
    and after, the files that were changed, and the last checkpoint of the audit log. The key that signs
    audit logs signs it; the log is verified first. docs/audit.md has the fields.
    """
    refuse_inside_run()
    from moat.audit.signing_key import SigningKeys  # noqa: PLC0415  loads slowly
    from moat.audit.statement import envelope, statement  # noqa: PLC0415

    with Store() as store:
        found = find(store, run)
        if not found.ended:
            raise UsageError(f"{found.name} has not ended", "A statement is about an ended run")
        if found.imported_at:
            raise UsageError(
                f"{found.name} was imported", "The machine on which it ran can make a statement"
            )
        facts = _facts(store, found)
        signer = SigningKeys(store.home).current()
    content = statement(facts, signer.public, redacted=redacted)
    write_new(file, [json.dumps(envelope(content, signer)).encode(), b"\n"])
    sys.stdout.write(f"{found.name}: written to {file}\n")


def _facts(store: Store, run: Run) -> RunFacts:
    from moat.audit.run_log import sha256_of  # noqa: PLC0415  as above
    from moat.audit.statement import RunFacts  # noqa: PLC0415
    from moat.workspace.frozen_changes import changes_of  # noqa: PLC0415

    report = verify_own(store, run)
    if report.problems or not report.signed:
        why = report.problems[0].text if report.problems else "nothing of it is signed"
        raise MoatError(
            f"the audit log of {run.name} can't be vouched for: {why}",
            f"See: moat audit {run.name} --verify",
        )
    folder, spec = store.folder(run.id), store.spec(run.id)
    with changes_of(folder, ended=True) as (changes, _):
        pass
    return RunFacts(
        run=run.id,
        version=__version__,
        spec=sha256_of(folder.spec),
        checkpoint=_newest_checkpoint(folder),
        closed=report.closed,
        started=run.started_at,
        stopped=run.stopped_at,
        exit_code=run.exit_code,
        parameters=_parameters(spec),
        policy=_policy(spec),
        image=spec.container.image,
        before=_tree(changes.before),
        after=_tree(changes.after),
        files=_files(changes),
    )


def _newest_checkpoint(folder: RunFolder) -> str:
    """Return the last note of the log, and what witnesses have signed of it."""
    from moat.audit.bundle import log_lines  # noqa: PLC0415  as above
    from moat.audit.checkpoint import decoded  # noqa: PLC0415
    from moat.audit.cosignatures import Cosignatures  # noqa: PLC0415
    from moat.audit.proofs import read_checkpoint  # noqa: PLC0415
    from moat.audit.submission import with_signatures  # noqa: PLC0415

    lines = (line for line in log_lines(folder.audit) if line.startswith(b"checkpoint "))
    (line,) = deque(lines, maxlen=1)
    note = decoded(line.removeprefix(b"checkpoint "))
    cosignatures = Cosignatures.load(folder.cosignatures).by_size()
    return with_signatures(note, cosignatures.get(read_checkpoint(note).size, ()))


def _parameters(spec: RunSpec) -> dict[str, Any]:
    return {
        "command": list(spec.command),
        "workspace": spec.workspace,
        "engine": spec.engine,
        "grants": [each.name for each in spec.grants],
        "secrets": sorted(spec.secrets),
    }


def _policy(spec: RunSpec) -> dict[str, Any]:
    network = spec.network
    return {
        "network": {
            "policy": network.policy,
            "allow": list(network.allow),
            "rules": len(network.rules),
            "tcp": [str(each) for each in network.tcp],
            "passthrough": [str(each) for each in network.passthrough],
        },
        "mounts": [f"{each.source}:{each.target}:{each.mode}" for each in spec.mounts],
    }


def _files(changes: Changes) -> dict[str, str]:
    return {
        each.path.encode(errors="backslashreplace").decode(): each.after.digest
        for each in changes.changes
        if each.after is not None and each.after.digest is not None
    }


def _tree(tree: Tree | None) -> TreeFacts | None:
    from moat.audit.statement import TreeFacts  # noqa: PLC0415  as above

    return None if tree is None else TreeFacts(tree.digest, tree.files, tree.unread)
