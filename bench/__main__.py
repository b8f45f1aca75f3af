"""`make bench`: Moat compared with tmux, dtach and docker, in one run on one machine.

Prints a table, and with `--write` puts it into bench/README.md. Names of figures (`echo`, `flood`,
`attach`, `start`, `once`, `list`, `idle`) measure only those. Takes about two minutes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attached
import whole_runs
from contenders import Place, contenders
from report import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

ATTACHED = {"echo": attached.echo, "flood": attached.flood, "attach": attached.first_paint}
WHOLE = ("start", "once", "list", "idle")


def main(arguments: Sequence[str]) -> None:
    wanted = [each for each in arguments if not each.startswith("-")] or [*ATTACHED, *WHOLE]
    place = Place(Path(tempfile.mkdtemp(prefix="mb-")))
    place.work.mkdir()
    try:
        report = measured(place, wanted)
    finally:
        # Programs that are just ending remove files of theirs meanwhile.
        shutil.rmtree(place.root, ignore_errors=True)
    print(report.table())
    if "--write" in arguments:
        report.write()


def measured(place: Place, wanted: Sequence[str]) -> Report:
    everybody = contenders(place)
    report = Report([each.name for each in everybody])
    for name in wanted:
        progress(name)
        if name in ATTACHED:
            for contender in everybody:
                report.add(contender.name, ATTACHED[name](contender, place))
    engines = [each.name for each in everybody if each.name in {"moat", "docker"}]
    if "start" in wanted:
        for engine, figure in whole_runs.start_to_end(place, engines):
            report.add(engine, [figure])
    if "once" in wanted:
        for engine in engines:
            report.add(engine, whole_runs.at_once(place, engine))
    if "idle" in wanted:
        report.add("moat", whole_runs.idle(place))
    if "list" in wanted:  # last, because nothing else should work in such a store
        report.add("moat", whole_runs.listing(place))
    return report


def progress(what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
