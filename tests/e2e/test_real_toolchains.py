"""Programs that the real package managers have installed for the user, as runs find them on PATH.

Each manager comes from the registry that this machine is set up for, and lays out its own folders. How
others lay themselves out that no registry has is in tests/engines/bubblewrap/toolchains.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat

INSTALL_S = 250.0
"""For a registry far away."""

pytestmark = pytest.mark.timeout(3 * INSTALL_S)

SECRET = "s3cr3t-of-the-host"
SEMVER, PYCOWSAY = "semver 1.2.3", "pycowsay moo"
FROM_NPM = "npm install --silent --no-fund --no-audit --prefix $HOME/managers"
FROM_PYPI = f"{sys.executable} -m venv $HOME/managers && $HOME/managers/bin/pip install -q"


class Toolchain(NamedTuple):
    install: str
    """A shell's commands, which install the manager, and a program with it."""
    folder: str
    """The folder for PATH, relative to the home folder."""
    command: str
    secret: str
    """A file near the program that no run may see."""


TOOLCHAINS = {
    "npm": Toolchain(
        "npm install --silent -g --prefix $HOME/.npm-global semver",
        ".npm-global/bin",
        SEMVER,
        ".npm-global/lib/node_modules/.npmrc",
    ),
    "bun": Toolchain(
        f"{FROM_NPM} bun@1.4.5 && export BUN_INSTALL=$HOME/.bun\n"
        "export PATH=$HOME/managers/node_modules/.bin:$PATH\n"
        "bun add --silent -g semver",
        ".bun/bin",
        SEMVER,
        ".bun/install/global/.npmrc",
    ),
    "deno": Toolchain(
        f"{FROM_NPM} deno@2.9.6 && mkdir -p $HOME/.deno/bin\n"
        "cp $HOME/managers/node_modules/@deno/linux-*/deno $HOME/.deno/bin",
        ".deno/bin",
        "deno eval console.log(1.5)",
        ".deno/.env",
    ),
    "pnpm": Toolchain(
        f"{FROM_NPM} pnpm@12.21.0 && export PNPM_HOME=$HOME/.local/share/pnpm\n"
        "export PATH=$PNPM_HOME:$PNPM_HOME/bin:$HOME/managers/node_modules/.bin:$PATH\n"
        "pnpm add --silent -g semver",
        ".local/share/pnpm/bin",
        SEMVER,
        ".local/share/pnpm/.env",
    ),
    "yarn": Toolchain(
        f"{FROM_NPM} yarn@1.22.22\n"
        "$HOME/managers/node_modules/.bin/yarn global add -s --prefix $HOME/.yarn semver",
        ".yarn/bin",
        SEMVER,
        ".yarn/bin/.env",
    ),
    "uv": Toolchain(
        f"{FROM_PYPI} uv==0.13.9\n"
        f"$HOME/managers/bin/uv tool install -q --python {sys.executable} pycowsay",
        ".local/bin",
        PYCOWSAY,
        ".local/share/uv/tools/pycowsay/.env",
    ),
    "pipx": Toolchain(
        f"{FROM_PYPI} pipx==1.18.4 && $HOME/managers/bin/pipx install -q pycowsay",
        ".local/bin",
        PYCOWSAY,
        ".local/share/pipx/venvs/pycowsay/.env",
    ),
}


@pytest.mark.parametrize("name", TOOLCHAINS)
def test_what_a_real_manager_installed_runs(moat: Moat, tmp_path: Path, name: str) -> None:
    """With all that it needs; and a secret beside it isn't there."""
    tool = TOOLCHAINS[name]
    home = tmp_path / "user"
    home.mkdir()
    subprocess.run(
        ["bash", "-euc", tool.install],
        env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""},
        timeout=2 * INSTALL_S,
        check=True,
    )
    secret = home / tool.secret
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text(SECRET)
    moat.environment |= {
        "HOME": str(home),
        "PATH": f"{home / tool.folder}:{moat.environment['PATH']}",
    }
    words = tool.command.split()
    wanted = subprocess.run(
        words, env=os.environ | moat.environment, capture_output=True, text=True, check=True
    )
    assert wanted.stdout.strip()
    assert moat.ok("run", "--", *words) == wanted.stdout
    assert SECRET not in moat("run", "--", "cat", str(secret)).stdout
