"""Package and version managers: what they install runs in a sandbox, and their secrets don't show.

npm and venv are the real ones, since every machine that runs these tests has them. The others are laid
out as they lay themselves out (their documentation, and installations of 2026): links, shims and
scripts are like theirs, and each leads to a program that tells that it was found. Those that a registry
has are tried for real in tests/e2e/test_real_toolchains.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox import Sandbox

SECRET = "s3cr3t-of-the-host"
SYSTEM = "/usr/local/bin:/usr/bin:/bin"


def program(path: Path, script: str = "echo works") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def link(path: Path, target: str | Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def secrets(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(SECRET)


def module(folder: Path, name: str = "tool") -> Path:
    """Make a package of JavaScript with a program that loads a file beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(
        json.dumps({"name": name, "version": "1.0.0", "bin": {name: "cli.js"}})
    )
    (folder / "lib.js").write_text("module.exports = 'works'\n")
    cli = folder / "cli.js"
    cli.write_text("#!/usr/bin/env node\nconsole.log(require('./lib.js'))\n")
    cli.chmod(0o755)
    return cli


# --- each lays out one tool below a home folder, and returns the folder for PATH ---


def bun(home: Path) -> Path:
    module(home / ".bun/install/global/node_modules/tool")
    link(home / ".bun/bin/tool", "../install/global/node_modules/tool/cli.js")
    secrets(home, ".bun/.env", ".bun/install/global/.npmrc")
    return home / ".bun/bin"


def deno(home: Path) -> Path:
    program(home / ".deno/bin/deno")
    secrets(home, ".deno/.env")
    return program(home / ".deno/bin/tool", f"exec {home}/.deno/bin/deno run -A").parent


def pnpm(home: Path) -> Path:
    own = home / ".local/share/pnpm"
    module(own / "store/v11/links/tool/1.0.0/node_modules/tool")
    link(own / "global/5/node_modules/tool", own / "store/v11/links/tool/1.0.0/node_modules/tool")
    secrets(own, "global/5/.npmrc", ".env")
    start = 'exec node "$(dirname "$0")/global/5/node_modules/tool/cli.js"'
    return program(own / "tool", start).parent


def yarn(home: Path) -> Path:
    packages = home / ".config/yarn/global/node_modules"
    module(packages / "tool")
    link(packages / ".bin/tool", "../tool/cli.js")
    link(home / ".yarn/bin/tool", "../../.config/yarn/global/node_modules/.bin/tool")
    secrets(home, ".config/yarn/global/.npmrc", ".config/yarn/token", ".yarn/bin/.env")
    return home / ".yarn/bin"


def volta(home: Path) -> Path:
    program(home / ".volta/tools/image/node/22.1.0/bin/node")
    program(home / ".volta/bin/volta-shim", 'exec "$VOLTA_HOME/tools/image/node/22.1.0/bin/node"')
    link(home / ".volta/bin/tool", "volta-shim")
    secrets(home, ".volta/tools/user/.npmrc", ".volta/tools/image/node/22.1.0/etc/npmrc")
    return home / ".volta/bin"


def mise(home: Path) -> Path:
    own = home / ".local/share/mise"
    program(own / "installs/tool/1.2.3/bin/tool")
    start = 'exec "$MISE_DATA_DIR/installs/tool/$MISE_TOOL_VERSION/bin/tool"'
    program(home / ".local/bin/mise", start)
    link(own / "shims/tool", home / ".local/bin/mise")
    secrets(home, ".config/mise/token", ".local/share/mise/installs/tool/1.2.3/.env")
    (home / ".config/mise/config.toml").write_text(
        f'[env]\nTOKEN = "{SECRET}"\n[tools]\ntool = "1.2.3"\n'
    )
    return own / "shims"


def asdf(home: Path) -> Path:
    program(home / ".asdf/installs/tool/1.2.3/bin/tool")
    start = 'exec "$ASDF_DATA_DIR/installs/tool/$ASDF_TOOL_VERSION/bin/tool"'
    secrets(home, ".asdf/.git-credentials", ".asdf/plugins/tool/.netrc")
    (home / ".tool-versions").write_text("tool 1.2.3\n")
    return program(home / ".asdf/shims/tool", start).parent


def in_environment(path: Path, python: Path) -> Path:
    """Make a virtual environment around a program, whose interpreter is a link to `python`."""
    environment = path.parent.parent
    link(path.with_name("python"), python)
    (environment / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    path.write_text(f"#!{path.parent}/python\nprint('works')\n")
    path.chmod(0o755)
    return path


def uv_tool(home: Path) -> Path:
    python = home / ".local/share/uv/python/cpython-3.12.4-linux-x86_64-gnu/bin/python3.12"
    program(python, "echo works")
    (python.parent.parent / "lib").mkdir()
    tool = in_environment(home / ".local/share/uv/tools/tool/bin/tool", python)
    link(home / ".local/bin/tool", tool)
    secrets(home, ".local/share/uv/credentials/x", ".local/share/uv/tools/tool/pip.conf")
    return home / ".local/bin"


def pipx(home: Path) -> Path:
    tool = in_environment(
        home / ".local/share/pipx/venvs/tool/bin/tool", program(home / "py/bin/py")
    )
    (home / "py/lib").mkdir()
    link(home / ".local/bin/tool", tool)
    secrets(home, ".local/share/pipx/venvs/tool/.env", ".local/share/pipx/shared/pip.conf")
    return home / ".local/bin"


def conda(home: Path) -> Path:
    own = home / "miniconda3"
    program(own / "bin/python")
    program(own / "bin/tool", f"exec {own}/bin/python")
    (own / "lib").mkdir()
    secrets(own, ".condarc", "condarc", "etc/pip.conf", "lib/python3.12/.pypirc", "pkgs/x/token")
    return own / "bin"


def nvm(home: Path) -> Path:
    own = home / ".nvm/versions/node/v22.1.0"
    module(own / "lib/node_modules/tool")
    link(own / "bin/tool", "../lib/node_modules/tool/cli.js")
    secrets(own, "etc/npmrc", "lib/node_modules/npm/npmrc", "lib/node_modules/tool/.npmrc")
    return own / "bin"


def pyenv(home: Path) -> Path:
    program(home / ".pyenv/versions/3.12.4/bin/tool")
    start = 'exec "$PYENV_ROOT/versions/$(cat "$PYENV_ROOT/version")/bin/tool"'
    (home / ".pyenv/version").write_text("3.12.4\n")
    secrets(home, ".pyenv/versions/3.12.4/pip.conf", ".pyenv/versions/3.12.4/.netrc")
    return program(home / ".pyenv/shims/tool", start).parent


def rbenv(home: Path) -> Path:
    program(home / ".rbenv/versions/3.3.0/bin/tool")
    start = 'exec "$RBENV_ROOT/versions/$(cat "$RBENV_ROOT/version")/bin/tool"'
    (home / ".rbenv/version").write_text("3.3.0\n")
    secrets(home, ".rbenv/versions/3.3.0/lib/ruby/gems/.gemrc", ".gem/credentials")
    return program(home / ".rbenv/shims/tool", start).parent


def rustup(home: Path) -> Path:
    program(home / ".rustup/toolchains/stable/bin/tool")
    secrets(home, ".cargo/credentials.toml", ".cargo/config.toml", ".rustup/.env")
    start = 'exec "$RUSTUP_HOME/toolchains/stable/bin/tool"'
    program(home / ".cargo/bin/rustup", start)
    return link(home / ".cargo/bin/tool", "rustup").parent


def sdkman(home: Path) -> Path:
    own = home / ".sdkman/candidates/maven"
    program(own / "3.9.9/bin/tool", 'test -e "$(dirname "$0")/../lib/maven.jar" && echo works')
    secrets(own, "3.9.9/conf/settings.xml", "3.9.9/.m2/settings.xml")
    (own / "3.9.9/lib").mkdir()
    (own / "3.9.9/lib/maven.jar").touch()
    link(own / "current", "3.9.9")
    return own / "current" / "bin"


def homebrew(home: Path) -> Path:
    own = home / ".linuxbrew"
    program(own / "Cellar/tool/1.0/bin/tool", 'cat "$HOMEBREW_PREFIX/lib/word"')
    (own / "lib").mkdir()
    (own / "lib/word").write_text("works\n")
    secrets(own, "etc/pip.conf", "var/postgres/pg_hba.conf", "Cellar/tool/1.0/.env")
    return link(own / "bin/tool", "../Cellar/tool/1.0/bin/tool").parent


def project(home: Path) -> Path:
    own = home / "other"
    program(own / "bin/tool", '. "$(dirname "$0")/../lib/say.sh"')
    (own / "lib").mkdir()
    (own / "lib/say.sh").write_text("echo works\n")
    secrets(own, ".env", "config/database.yml", "lib/.env.local", "package.json", "lib/x/id_rsa")
    return own / "bin"


TOOLS: list[Callable[[Path], Path]] = [
    *(bun, deno, pnpm, yarn, volta, mise, asdf, uv_tool, pipx, conda, nvm, pyenv, rbenv, rustup),
    *(sdkman, homebrew, project),
]

LOOK_EVERYWHERE = f"""
grep -rlsI '{SECRET}' /home /root /tmp /etc/moat {{home}} && exit 9
tool
"""


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
def test_a_tool_works_and_shows_no_secret(sandbox: Sandbox, tool: Callable[[Path], Path]) -> None:
    """Its program finds what it needs, and no file of the sandbox has what was hidden beside it."""
    path = f"{tool(sandbox.home)}:{SYSTEM}"
    found = subprocess.run(
        ["grep", "-rlsI", SECRET, sandbox.home], capture_output=True, text=True, check=True
    )
    assert found.stdout
    script = LOOK_EVERYWHERE.format(home=sandbox.home)
    assert sandbox.shell(script, host_path=path) == "works"


# --- the real ones ---


def npm(*words: str | Path, home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "npm_config_offline": "true"}
    subprocess.run(["npm", *map(str, words)], env=environment, check=True, capture_output=True)


def test_a_prefix_of_npms(sandbox: Sandbox) -> None:
    """A program that npm installed runs, and npm's settings, written while it runs, never show."""
    prefix, source = sandbox.home / ".npm-global", sandbox.home / "source"
    module(source)
    npm("install", "-g", "--install-links", "--prefix", prefix, source, home=sandbox.home)
    secrets(prefix, "etc/npmrc", ".npmrc")
    path = f"{prefix}/bin:{SYSTEM}"
    rewrite = f"cp {prefix}/etc/npmrc {prefix}/etc/new; mv {prefix}/etc/new {prefix}/etc/npmrc"
    done = sandbox.run(
        *("sh", "-c", f"tool; cat {prefix}/etc/* {prefix}/.npmrc"), before=[rewrite], host_path=path
    )
    assert done.stdout == "works\n"
    assert done.stderr.count("No such file") == 2


@pytest.mark.parametrize("place", ["project", "elsewhere"])
def test_programs_of_node_modules(sandbox: Sandbox, place: str) -> None:
    """They load their packages: those of the workspace, and those of another folder."""
    folder = sandbox.home / place
    module(sandbox.home / "source")
    folder.mkdir(exist_ok=True)
    npm(
        *("install", "--install-links", "--prefix", folder, sandbox.home / "source"),
        home=sandbox.home,
    )
    if place == "elsewhere":
        secrets(folder, ".env", "node_modules/tool/.env")
    path = f"{folder}/node_modules/.bin:{SYSTEM}"
    script = LOOK_EVERYWHERE.format(home=sandbox.home)
    assert sandbox.shell(script, host_path=path) == "works"


def test_a_virtual_environment(sandbox: Sandbox) -> None:
    """Its interpreter finds its packages, without the settings of its pip."""
    environment = sandbox.home / "environments" / "venv"
    make = [sys.executable, "-m", "venv", "--without-pip", environment]
    subprocess.run(make, check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "word.py").write_text("print('works')\n")
    secrets(environment, "pip.conf", "lib/.netrc")
    path = f"{environment}/bin:{SYSTEM}"
    script = f"python -m word; cat {environment}/pip.conf {environment}/lib/.netrc || true"
    assert sandbox.shell(script, host_path=path) == "works"


def test_nix_leads_into_its_store(sandbox: Sandbox) -> None:
    """A profile is a link outside the system's folders, and PATH has what it leads to."""
    profile = link(sandbox.home / ".nix-profile", "/usr")
    path = f"{profile}/bin:/bin"
    assert sandbox.shell("echo $PATH", host_path=path).split(":")[0] == "/usr/bin"


def test_snaps_are_left_out(sandbox: Sandbox) -> None:
    """They start by a service and a setuid program, which no sandbox has."""
    assert "/snap/bin" not in sandbox.shell("echo $PATH", host_path=f"/snap/bin:{SYSTEM}")
