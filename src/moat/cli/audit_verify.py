"""`moat audit verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.audit_text import verdict
from moat.errors import UsageError
from moat.paths import moat_home
from moat.printable import without_controls

if TYPE_CHECKING:
    from moat.audit.proofs import Witness
    from moat.audit.report import Report
    from moat.audit.verifier import Verifier

_LONGEST_LINE: Final = 16 << 20
"""Bytes of a line in a bundle that is read: whoever made it may want to fill the memory."""


@click.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key", "keys", multiple=True, metavar="HEX", help="A public key that may have signed."
)
@click.option(
    "--keys",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What moat audit key show --json has printed on the machine of the run.",
)
@click.option(
    "--checkpoint",
    "held",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint of this run that you have kept.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="VKEY",
    help="The verifier key of a witness that must have seen the log.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(  # noqa: PLR0913  a parameter for each option
    ctx: click.Context,
    file: Path,
    *,
    keys: tuple[str, ...],
    key_file: Path | None,
    held: tuple[Path, ...],
    witnesses: tuple[str, ...],
    as_json: bool,
) -> None:
    """Verify the bundle FILE, without the run, its machine or a store.

    It says first what is proven, and what isn't. The exit code is 0 if all of it is genuine, 1 if
    something is not or nothing is signed, and 2 if FILE can't be read as a bundle. Without --witness,
    witnesses of the settings are looked for, and need not have seen it.

    The keys of --json: run, genuine, problems (with code and text), remarks, entries, signed,
    checkpoints, closed, redacted, proved, files, absent, keys, trusted, seen (with name, size and time
    for each witness that has seen it) and unseen (the names of the others).
    """
    from moat.audit.report import UnreadableError  # noqa: PLC0415  loads slowly
    from moat.audit.verifier import Verifier  # noqa: PLC0415

    trusted = {_public_key(each) for each in keys}
    revoked: set[bytes] = set()
    if key_file is not None:
        _read_keys(key_file, trusted, revoked)
    try:
        verifier = Verifier(
            trusted,
            revoked,
            [each.read_text() for each in held],
            [*map(_witness, witnesses)] or witnesses_of_settings(moat_home()),
            must_be_seen=bool(witnesses),
        )
        report = _verified(verifier, file)
    except (UnreadableError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"{file} can't be verified: {exc}", "See: moat audit export --help"
        ) from exc
    print_report(report, as_json=as_json)
    ctx.exit(1 if report.problems else 0)


def _verified(verifier: Verifier, file: Path) -> Report:
    from moat.audit.report import UnreadableError  # noqa: PLC0415  as above

    with file.open("rb") as lines:
        while line := lines.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise UnreadableError("it has a line that is too long")
            verifier.feed(line.removesuffix(b"\n"))
    return verifier.finish()


def print_report(report: Report, *, as_json: bool) -> None:
    """Print what was found about a log."""
    if not as_json:
        sys.stdout.write("".join(f"{without_controls(line)}\n" for line in verdict(report)))
        return
    value: dict[str, Any] = {
        "run": report.run,
        "genuine": not report.problems,
        "problems": [each._asdict() for each in report.problems],
        "remarks": report.remarks,
        "entries": report.entries,
        "signed": report.signed,
        "checkpoints": report.checkpoints,
        "closed": report.closed,
        "redacted": report.redacted,
        "proved": report.proved,
        "files": report.files,
        "absent": report.absent,
        "keys": [each.hex() for each in report.keys],
        "trusted": report.trusted,
        "seen": [each._asdict() for each in report.seen],
        "unseen": report.unseen,
    }
    sys.stdout.write(json.dumps(value) + "\n")


def _public_key(text: str) -> bytes:
    try:
        public = bytes.fromhex(text)
    except ValueError:
        public = b""
    if len(public) != 32:
        raise UsageError(
            f"{text} is no public key: it has 64 hexadecimal digits", "See: moat audit key show"
        )
    return public


def _witness(text: str) -> Witness:
    from moat.audit.proofs import Witness  # noqa: PLC0415  as above

    try:
        return Witness.parse(text)
    except ValueError as exc:
        raise UsageError(
            f"{text} is no verifier key of a witness: {exc}", "The witness publishes its key"
        ) from exc


def witnesses_of_settings(home: Path) -> list[Witness]:
    """Return the witnesses that the user has set."""
    from moat.config import settings  # noqa: PLC0415  as above

    return [_witness(each.key) for each in settings.load(home).witnesses]


def _read_keys(file: Path, trusted: set[bytes], revoked: set[bytes]) -> None:
    try:
        for each in json.loads(file.read_text()):
            (revoked if each["revoked"] else trusted).add(_public_key(each["public"]))
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise UsageError(
            f"{file} is no list of keys: {exc}", "Make one: moat audit key show --json"
        ) from exc
