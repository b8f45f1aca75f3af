"""`moat audit`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from moat.cli.arguments import output_option, run_argument
from moat.cli.audit_key import command as key_command
from moat.cli.audit_own import RequestTexts, left_out, no_log, verify_own, wait_for_end
from moat.cli.audit_statement import command as statement_command
from moat.cli.audit_text import timeline_line, witness_line
from moat.cli.audit_verify import command as verify
from moat.cli.audit_verify import print_report
from moat.cli.audit_witness import command as witness_command
from moat.cli.found import find
from moat.cli.new_file import write_new
from moat.errors import MoatError, UsageError
from moat.printable import without_controls
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from moat.cli.audit_text import Entry
    from moat.paths import RunFolder

_MOST_ROWS: Final = 1_000_000
"""Rows of the traffic record to which one entry commits: it has those of a second or two."""
_LEAVE_S: Final = 10.0
"""A run that has just ended closes its log within this time."""


class _RunOrCommand(click.Group):
    """A group whose command `show` needs no name: `moat audit RUN`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(
    "audit",
    cls=_RunOrCommand,
    subcommand_metavar=(
        "[RUN [--verify] [--json] [-f] | export | verify | page | statement | witness | key]"
    ),
)
def command() -> None:
    """Show what a run did, from a signed log that can be verified, or hand that to somebody else.

    moat audit RUN prints the log of a run; with --verify it checks it, with --json it prints an object
    per entry, with -f it goes on with entries as they are written. docs/audit.md says what a log proves.
    """


@command.command("show", hidden=True)
@run_argument()
@click.option("--verify", "verifies", is_flag=True, help="Check the log, and the files beside it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with entries as they come.")
@click.pass_context
def show(
    ctx: click.Context, run: str | None, *, verifies: bool, as_json: bool, follows: bool
) -> None:
    """Print the audit log of a run, or verify it.

    The keys of --json: seq, time (RFC 3339), event (the kind), data, hash, content and prev; with
    --verify they are those of moat audit verify --json.
    """
    if verifies and follows:
        raise UsageError("--verify looks at the log as it is: -f has no place there")
    with Store() as store:
        found = find(store, run)
        if verifies:
            report = verify_own(store, found)
            print_report(report, as_json=as_json)
            ctx.exit(1 if report.problems else 0)
        entries = Entries(store.folder(found.id).audit)
        _write(entries.news(), as_json=as_json)
        if follows:
            from moat.client.watch.follow import follow  # noqa: PLC0415  for -f alone

            for _ in follow(store, found):
                _write(entries.news(), as_json=as_json)
        elif not entries.exists:
            raise no_log(found)
        elif not as_json:
            _write_witnesses(store.folder(found.id))


@command.command("export")
@run_argument()
@output_option
@click.option(
    "--redact", "redacted", is_flag=True, help="Leave out what entries say, and all files."
)
@click.option(
    "--entry",
    "entries",
    multiple=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Only this entry, with a proof that the log has it. Repeatable.",
)
def export(run: str | None, file: Path, *, redacted: bool, entries: tuple[int, ...]) -> None:
    """Write the audit log of a run to FILE, with all that is needed to verify it.

    That is: entries, checkpoints, public key, specification, output and requests, as far as the run has
    them still. Anybody can verify it with moat audit verify, or by docs/audit.md.
    """
    from moat.audit import bundle  # noqa: PLC0415  loads slowly
    from moat.audit.cosignatures import Cosignatures  # noqa: PLC0415  as above

    if redacted and entries:
        raise UsageError("--redact leaves out what --entry is to show", "Give one of them")
    with Store() as store:
        found = find(store, run)
        folder = store.folder(found.id)
        wait_for_end(store, found)
        try:
            if entries:
                cosignatures = Cosignatures.load(folder.cosignatures)
                lines = bundle.proofs(folder.audit, entries, cosignatures.by_size())
            else:
                requests = RequestTexts(folder.database)
                without = left_out(folder)
                lines = bundle.bundle(folder, requests, redacted=redacted, without=without)
            write_new(file, (line + b"\n" for line in lines))
        except FileNotFoundError:
            raise no_log(found) from None
    sys.stdout.write(f"{found.name}: exported to {file}\n")


@command.command("page")
@output_option
def page(file: Path) -> None:
    """Write a page of HTML that verifies bundles in a browser, for somebody who has no Moat.

    It is one file, asks nobody for anything, and says what moat audit verify says. Chromium 137,
    Firefox 130 and Safari 17 can open it.
    """
    from moat.audit.page import page as text  # noqa: PLC0415  for this alone

    write_new(file, [text().encode()])
    sys.stdout.write(f"written to {file}\n")


command.add_command(verify)
command.add_command(statement_command)
command.add_command(witness_command)
command.add_command(key_command)


# --- the timeline ---


class Entries:
    """The entries of a log that may be growing, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.exists = False

    def news(self) -> Iterator[Entry]:
        """Yield what was written since the last call."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            self.exists = True
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                if line.startswith(b"entry "):
                    try:
                        yield _entry(line[6:-1])
                    except (ValueError, KeyError, TypeError, RecursionError):
                        raise _changed() from None


def _entry(line: bytes) -> Entry:
    import hashlib  # noqa: PLC0415  the help needs none

    public, _, private = line.partition(b"\t")
    entry = json.loads(public)
    return {
        "seq": entry["seq"],
        "time": entry["time"],
        "event": entry["kind"],
        "data": json.loads(private)["data"] if private else None,
        "hash": hashlib.sha256(b"\0" + public).hexdigest(),
        "content": entry["content"],
        "prev": entry["prev"],
    }


def _write(entries: Iterable[Entry], *, as_json: bool) -> None:
    for entry in entries:
        try:
            line = json.dumps(entry) if as_json else without_controls(timeline_line(entry))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _changed() from None
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _write_witnesses(folder: RunFolder) -> None:
    """Say behind the entries how many of them witnesses have seen."""
    if not folder.cosignatures.exists():
        return
    from moat.audit.cosignatures import Cosignatures  # noqa: PLC0415  most runs have none

    for key, attempt in Cosignatures.load(folder.cosignatures).attempts.items():
        sys.stdout.write(f"{without_controls(witness_line(key, attempt))}\n")


def _changed() -> MoatError:
    return MoatError(
        "the audit log was changed: what follows is no entry that Moat writes",
        "Look what is wrong with it: moat audit RUN --verify",
    )
