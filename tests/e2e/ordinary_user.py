"""A user of this machine without privileges: another one if root runs the tests.

Root's Python often lies in its home folder, where nobody else may look. So the user gets a virtual
environment of the system's Python, with this tree in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import moat

UID = 54321
"""Of nobody else on a machine."""
PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class OrdinaryUser:
    """A user with a home folder below `folder`, which everybody may enter."""

    folder: Path

    @classmethod
    def of(cls, folder: Path) -> OrdinaryUser:
        home = folder / "home"
        for place in (home, home / "work"):
            place.mkdir()
            if os.geteuid() == 0:
                os.chown(place, UID, UID)
        environment = folder / "venv"
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
        (packages,) = environment.glob("lib/python3*/site-packages")
        tree = [Path(moat.__file__).parents[1], sysconfig.get_paths()["purelib"]]
        (packages / "moat.pth").write_text("".join(f"{place}\n" for place in tree))
        return cls(folder)

    @property
    def workspace(self) -> Path:
        return self.folder / "home" / "work"

    @property
    def store(self) -> Path:
        return self.folder / "home" / ".moat"

    def give(self, file: Path) -> None:
        """Copy a file into the user's workspace."""
        shutil.copy(file, self.workspace)

    def moat(
        self, *arguments: str, timeout: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of Moat's as this user."""
        # -P: the workspace, in which this is called, must not come first in the import path.
        python = str(self.folder / "venv" / "bin" / "python")
        return self.run(python, "-P", "-m", "moat", *arguments, timeout=timeout, **environment)

    def shell(self, script: str) -> str:
        """Return what a shell script of this user's prints; it must succeed."""
        done = self.run("bash", "-ec", script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(
        self, *command: str, timeout: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user."""
        other = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        become = other if os.geteuid() == 0 else []
        return subprocess.run(
            [*become, *command],
            cwd=self.workspace,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.folder / "home"),
                "MOAT_HOME": str(self.store),
                "LANG": "C.UTF-8",
            }
            | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
