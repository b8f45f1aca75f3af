"""Fuzzes one parser, guided by coverage; ends with a status other than 0 where an oracle objects.

    python -m tests.fuzz.fuzz TARGET FOLDER [OPTION OF LIBFUZZER]...

For example `-max_total_time=60` (seconds): without it, it goes on until it has found something. What it
meets that is new goes into FOLDER, and is where it begins the next time; what breaks something goes into
FOLDER/found-... .
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["moat.egress", "moat.spec"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    program, name, folder, *options = sys.argv
    target = TARGETS[name]
    for number, beginning in enumerate(target.beginnings):
        Path(folder, f"beginning-{number}").write_bytes(beginning)
    arguments = [
        program,
        f"-max_len={target.longest}",
        f"-artifact_prefix={folder}/found-",
        *options,
    ]
    atheris.Setup([*arguments, folder], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
