"""`moat` from another tree: command, supervisors and shims.

    python other_moat.py TREE ARGUMENTS...

TREE is a folder with a package `moat`.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

SUPERVISOR = "--supervisor"


def main() -> None:
    tree, *arguments = sys.argv[1:]
    sys.path.insert(0, tree)
    if arguments[0] == SUPERVISOR:
        sys.argv[1:] = arguments[-2:]
        runpy.run_module("moat.supervisor", run_name="__main__")
        return
    from moat.client.connect import spawn  # noqa: PLC0415  of the tree

    starter = Path(tree, "starter")
    starter.write_text(
        f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {tree} {SUPERVISOR} "$@"\n'
    )
    starter.chmod(0o700)
    spawn.sys = SimpleNamespace(executable=os.fspath(starter))  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv[1:] = arguments
    runpy.run_module("moat", run_name="__main__")


main()
