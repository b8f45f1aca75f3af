"""The egress proxy compared with its peers, in one run: `python bench/egress [--write] [--rounds N]`.

Needs go, nginx and taskset; squid (with ssl-bump), mitmdump and tinyproxy are measured if they are
installed. The proxy has one core, clients and servers the others. Every proxy has its turn in each
round, and the median of the rounds counts, so that passing load on the machine affects all alike.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path

import table
from contenders import contenders
from lab import Figures, Lab

NEEDED = ("go", "nginx", "taskset")


def main() -> None:
    parser = ArgumentParser(prog="bench/egress", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for needed in NEEDED:
        if shutil.which(needed) is None:
            raise SystemExit(f"bench: {needed} is not installed")
    if len(os.sched_getaffinity(0)) == 1:
        raise SystemExit("bench: one core is not enough: the proxy has one to itself")
    # So that everything that was started ends with this process, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="bench-egress-") as name, ExitStack() as running:
        lab = Lab(Path(name), running)
        everybody = contenders(lab)
        rounds: dict[str, list[Figures]] = {each.name: [] for each in everybody}
        for number in range(arguments.rounds):
            for each in everybody:
                if sys.stderr.isatty():
                    sys.stderr.write(f"round {number + 1}: {each.name}\n")
                rounds[each.name].append(lab.measure(each))
    text = table.text(rounds)
    print(text)
    if arguments.write:
        table.write(text)


if __name__ == "__main__":
    main()
