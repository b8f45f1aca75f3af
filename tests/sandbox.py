"""A real sandbox: bubblewrap with the arguments and the filter under test."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moat.engines.bubblewrap.layout import Layout
from moat.engines.under_shim.seccomp import program
from moat.paths import RunFolder
from moat.spec import Bubblewrap, RunId, RunSpec
from moat.workspace import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Sandbox:
    """A workspace in which each call runs a command, as a run of its own."""

    home: Path
    workspace: Path
    private: Path
    spec_fields: dict[str, Any] = field(default_factory=dict)
    authority: bytes = b""

    def spec(self, **fields: Any) -> RunSpec:
        common = {
            "id": RunId("0123456789ab"),
            "name": "brave-otter",
            "command": ("true",),
            "workspace": str(self.workspace),
            "created_at": "2026-01-01T00:00:00Z",
        }
        given = {**common, **self.spec_fields, **fields}
        bubblewrap = Bubblewrap(host_path=given.pop("host_path"))
        return RunSpec(**given, bubblewrap=bubblewrap)

    def run(
        self, *command: str, before: list[str] | None = None, **fields: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; the shell commands `before` run on the host between layout and start."""
        with Layout.of(self.spec(**fields), self.private, self.authority) as layout:
            snapshot.take(layout.writable_folders, self.folder)
            encoded = b"".join(os.fsencode(word) + b"\0" for word in layout.arguments)
            arguments, filtering = _memory(encoded), _memory(program(platform.machine()))
            for line in before or []:
                subprocess.run(line, shell=True, check=True, cwd=self.workspace)
            argv = ["unshare", "-Urn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
            argv += ["bwrap", "--args", str(arguments)]
            argv += ["--seccomp", str(filtering), "--", *command]
            try:
                return subprocess.run(
                    argv,
                    pass_fds=[arguments, filtering, *layout.descriptors],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                )
            finally:
                os.close(arguments)
                os.close(filtering)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.private.parent)

    def rename(self, name: str, **fields: Any) -> str:
        """Return the error of rename(2); mv would go on to copy."""
        script = "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '-moved')"
        return self.run("python3", "-c", script, name, **fields).stderr

    def shell(self, script: str, **fields: Any) -> str:
        """Return what a script prints; it must succeed."""
        done = self.run("bash", "-ec", script, **fields)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _memory(content: bytes) -> int:
    descriptor = os.memfd_create("test")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@pytest.fixture(scope="session")
def searched_toolchains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is kept of the search of this machine's toolchains, for all tests: the first takes long."""
    return tmp_path_factory.mktemp("toolchains")


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searched_toolchains: Path) -> Sandbox:
    home = tmp_path / "users" / "someone"
    workspace = home / "project"
    workspace.mkdir(parents=True)
    store = home / ".moat"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MOAT_HOME", str(store))
    store.mkdir()
    (store / "toolchains").symlink_to(searched_toolchains)
    private = store / "runs" / "0123456789ab" / "private"
    path = f"{Path(sys.executable).resolve().parent}:/usr/local/bin:/usr/bin:/bin"
    return Sandbox(home, workspace, private, {"host_path": path})


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Check that the test closes whatever it opens."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def repository(sandbox: Sandbox) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", sandbox.workspace], check=True)
    return sandbox.workspace
