# ruff: noqa: INP001  a script of its own, no part of a package
"""Try an installed Moat as its user would: import it, ask it, run with it, attach to it.

    VENV/bin/python -I scripts/smoke.py VERSION compiled|pure

Uses the standard library and the installed package alone, and ends at the first thing that is wrong.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import pty
import select
import subprocess
import sys
import tempfile
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

import moat

COMMAND: Final = str(Path(sys.executable).with_name("moat"))
TIMEOUT_S: Final = 60.0


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"smoke: {what}")


def run(*arguments: str, exit_code: int = 0) -> str:
    """Return the standard output of `moat ARGUMENTS`."""
    done = subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    line = f"moat {' '.join(arguments)}"
    expect(
        done.returncode == exit_code,
        f"{line}: exit code {done.returncode}\n{done.stdout}{done.stderr}",
    )
    return done.stdout


def check_modules(kind: str) -> None:
    """Import every module, and see whether the command and the path of a request are compiled."""
    expect(Path(moat.__file__).is_relative_to(sys.prefix), f"imported from {moat.__file__}")
    for module in pkgutil.walk_packages(moat.__path__, "moat."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    native = Path(COMMAND).read_bytes().startswith(b"\x7fELF")
    expect(native == (kind == "compiled"), f"{COMMAND} of a wheel that should be {kind}")
    origin = str(importlib.import_module("moat.egress.http.exchange").__file__)
    is_compiled = origin.endswith(tuple(EXTENSION_SUFFIXES))
    expect(is_compiled == (kind == "compiled"), f"{origin} in a wheel that should be {kind}")


def attach(name: str) -> int:
    """Attach to the run on a terminal of our own, answer its question, and return the exit code."""
    pid, tty = pty.fork()
    if pid == 0:
        os.execv(COMMAND, ["moat", "attach", name])
    wait_for(tty, b"ready")
    os.write(tty, b"hello\r")
    wait_for(tty, b"got hello")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(tty)
    return code


def wait_for(tty: int, text: bytes) -> None:
    shown, deadline = b"", time.monotonic() + TIMEOUT_S
    while text not in shown:
        readable, _, _ = select.select([tty], [], [], max(0.0, deadline - time.monotonic()))
        expect(bool(readable), f"waited in vain for {text!r}, shown: {shown!r}")
        shown += os.read(tty, 1 << 16)


def main() -> None:
    version, kind = sys.argv[1:]
    check_modules(kind)
    with tempfile.TemporaryDirectory(prefix="moat-smoke-") as folder:
        os.environ["MOAT_HOME"] = f"{folder}/home"
        workspace = Path(folder, "work")
        workspace.mkdir()
        os.chdir(workspace)
        expect(run("version") == f"moat {version}\n", f"it calls itself {run('version')}")
        run("doctor")
        run("run", "--", "true")
        run("run", "--", "sh", "-c", "exit 7", exit_code=7)
        asking = 'echo ready; read -r line; echo "got $line"; exit 9'
        run("run", "-d", "-it", "--name", "smoke", "--", "sh", "-c", asking)
        expect(attach("smoke") == 9, "the exit code of the run did not come through")


if __name__ == "__main__":
    main()
