"""The view of what a run left in the workspace for programs of the host to obey."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError, StoreError
from moat.workspace import findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.paths import RunFolder
    from moat.runs.store import Run
    from moat.workspace.findings import Finding, Report, Treatment

_HEADINGS: Final[Mapping[Treatment, str]] = {
    "quarantined": "Put aside or disarmed:",
    "cleared": "Taken off:",
    "left": "New or changed, and left as it is:",
    "unchecked": "Not checked:",
}


def print_trust_report(run: Run, folder: RunFolder, *, as_json: bool) -> None:
    report = load_report(run, folder)
    if as_json:
        # ASCII, for a path needn't be valid Unicode.
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report_lines(report))


def load_report(run: Run, folder: RunFolder) -> Report:
    """Return what the clean-up after a run found. Raises `MoatError` while there was none."""
    try:
        return findings.loads(folder.trust_report.read_text())
    except FileNotFoundError:
        if folder.workspace_snapshot.exists():
            raise MoatError(
                f"run {run.name} has not ended: what it leaves is looked at then",
                f"Wait for it: moat wait {run.name}",
            ) from None
        return findings.Report()
    except ValueError as exc:
        raise StoreError(
            f"{folder.trust_report} can't be read: {exc}", "A newer Moat may have written it"
        ) from exc


def report_lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report, by what was done."""
    for treatment, heading in _HEADINGS.items():
        chosen = [each for each in report.findings if each.treatment == treatment]
        if chosen:
            yield heading
            yield from (f"  {findings.printable(_line(each))}" for each in chosen)
    if report.more:
        yield f"And {report.more} more, which were not kept."


def _line(finding: Finding) -> str:
    what = f"{finding.place}  {finding.done}".rstrip()
    why = f"{finding.program}: it {finding.reason}" if finding.reason else ""
    return f"{what}  [{why}]" if why else what
