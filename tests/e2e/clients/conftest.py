"""Real programs that log in at their services, in runs that have granted credentials.

They are Debian's, or come from PyPI and npm at fixed versions (`scripts/clients.sh`). The services are
stand-ins under the real names, which check what they get as the real ones do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.e2e.internet import Internet, never_shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

    from tests.e2e.conftest import Moat

PROGRAMS: Final = Path(__file__).parents[3] / ".venv/clients/bin"
RUN_S: Final = 240.0
"""Big programs start, on machines that are busy with other tests."""


@dataclass(frozen=True, slots=True)
class User:
    """A user who has granted credentials, and the internet that the runs see."""

    moat: Moat
    internet: Internet

    def grant(self, credential: str, secret: str, *options: str) -> None:
        words = ("grant", credential, "--from", "stdin", "--no-validate", *options)
        self.moat.ok(*words, stdin=secret)

    def run(self, script: str, *grants: str) -> CompletedProcess[str]:
        """Run a shell script with grants."""
        words = [word for each in grants for word in ("--grant", each)]
        command = ("run", *words, "--", "bash", "-euc", script)
        return self.moat(*command, timeout=RUN_S)

    def ok(self, script: str, *grants: str) -> str:
        """Return what a script prints, which must succeed."""
        done = self.run(script, *grants)
        asked = [f"{each.method} {each.host}{each.target}" for each in self.internet.asked]
        story = f"{done.stdout}\n{done.stderr}\n{asked}\n{self.internet.unknown}"
        assert done.returncode == 0, story
        return done.stdout

    def never_shown(self, *secrets: str) -> None:
        """Check that no file of the store and of the workspace has one of the secrets."""
        never_shown((self.moat.home, self.moat.workspace), secrets)


@pytest.fixture
def user(moat: Moat, tmp_path: Path) -> Iterator[User]:
    with Internet(tmp_path / "internet") as internet:
        moat.environment |= internet.environment
        # The keys of the vault are in a file, and no test asks a keyring of the machine's user.
        moat.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/dev/null/bus"
        moat.environment["PATH"] = f"{PROGRAMS}{os.pathsep}{moat.environment['PATH']}"
        moat.write_settings(internet.settings())
        yield User(moat, internet)
