"""The text of `moat audit`: the timeline of a log, and what was verified. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moat.cli.event_text import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moat.audit.cosignatures import Attempt
    from moat.audit.report import Report

Entry = dict[str, Any]
"""An entry as `moat audit --json` prints it."""


def timeline_line(entry: Entry) -> str:
    """Return an entry as a line, untrusted text."""
    return f"{entry['time']}  {entry['seq']:>5}  {entry['event']:<18}  {words(entry)}"


def words(entry: Entry) -> str:
    """Return what an entry says, besides its time and kind."""
    data = entry["data"]
    if data is None:
        return "(redacted)"
    kind = entry["event"]
    if kind in _WORDS:
        return _WORDS[kind](data)
    return describe({"time": entry["time"], "event": kind, **data})


def _created(data: dict[str, Any]) -> str:
    late = "" if data.get("state", "created") == "created" else f" ({data['state']} already)"
    return f"{data['name']}{late}: {' '.join(data['command'])} in {data['workspace']}"


def _continued(data: dict[str, Any]) -> str:
    if data["torn"] is None:
        return "by a new supervisor"
    return f"by a new supervisor; the last one was killed over an entry ({data['torn']['bytes']} bytes)"


_WORDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "run_created": _created,
    "log_continued": _continued,
    "log_closed": lambda _: "nothing follows",
    "requests": lambda data: f"{data['count']} rows of the traffic record",
    "journal_closed": lambda data: f"{data['session']}, segment {data['segment']}",
    "signing_key": lambda data: f"{data['public'][:16]}… signs from here on",
    "gap": lambda data: f"{data['missed']} entries could not be written",
}


def witness_line(key: str, attempt: Attempt) -> str:
    """Return what a witness, named by its verifier key, has seen of a log."""
    name = key.partition("+")[0]
    seen = (
        f"{name} has seen the first {attempt.size} entries"
        if attempt.size
        else f"{name}: nothing seen"
    )
    return (
        f"{attempt.at}  {seen}; {attempt.problem}" if attempt.problem else f"{attempt.at}  {seen}"
    )


# --- what was verified ---


def verdict(report: Report) -> Iterator[str]:
    """Yield lines: what is proven, what isn't, and what is wrong."""
    if report.problems:
        yield f"NOT GENUINE: {report.problems[0].text}"
        for problem in report.problems[1:]:
            yield f"             {problem.text}"
        yield ""
    yield f"run {report.run}: {report.entries or len(report.proved)} entries"
    if not report.problems:
        yield "proven:"
        yield from (f"  - {each}" for each in _proven(report))
    yield "not proven:"
    yield from (f"  - {each}" for each in _unproven(report))
    if report.remarks:
        yield "worth a look:"
        yield from (f"  - {each}" for each in report.remarks)


def _proven(report: Report) -> Iterator[str]:
    from moat.audit.proofs import fingerprint  # noqa: PLC0415  the verifier loads slowly

    names = ", ".join(map(fingerprint, report.keys))
    if report.proved:
        listed = ", ".join(map(str, report.proved))
        yield f"entries {listed} are in the log of {report.signed} entries that {names} has signed"
    elif report.signed:
        yield (
            f"the first {report.signed} entries are what {names} has signed: none was changed,"
            " added, dropped or moved"
        )
    else:
        yield "each entry follows on the one before it"
    if report.trusted:
        yield "that key is the one that you named"
    if report.closed:
        yield f"the log is complete: entry {report.entries - 1} closes it"
    for each in report.seen:
        yield (
            f"{each.name} saw the first {each.size} entries by {each.time}: they are not younger, and it"
            " signs no other history of this run in their place, by whatever key"
        )
    genuine = sum(report.files.values())
    if genuine:
        yield f"{genuine} files (specification, output, requests) are those that the log commits to"


def _unproven(report: Report) -> Iterator[str]:
    unsigned = report.entries - report.signed
    if unsigned > 0:
        yield f"the last {unsigned} entries are not signed yet"
    if not report.trusted:
        yield "whose key it is: compare it with moat audit key show, and give it as --key"
    if report.seen:
        late = report.entries - max(each.size for each in report.seen)
        if late > 0:
            yield f"that the last {late} entries are the only ones: no witness has seen them"
        yield "that a witness is honest: one in league with the key's owner could sign a second log"
    else:
        yield "that there is no second log of this run: no witness that you named has seen this one"
    yield from (f"that {name} has seen it" for name in report.unseen)
    if not (report.closed or report.proved):
        yield "that nothing followed: the log is not closed"
    if report.redacted:
        yield f"what {report.redacted} entries say: their content was left out"
    if report.absent:
        yield f"{report.absent} files that the log commits to: they are not here"
    loose = [name for name, genuine in report.files.items() if not genuine]
    if loose:
        yield f"files to which only unsigned entries commit: {', '.join(loose)}"
    yield "that the machine told the truth, and its clock: whoever has its key could sign anything"
