"""Where files live: the store's folder and the folder of one run.

Names only: nothing here reads or creates a file (`runs.store` does).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def moat_home() -> Path:
    """`$MOAT_HOME`, else `~/.moat`; absolute."""
    chosen = os.environ.get("MOAT_HOME")
    return Path(os.path.abspath(os.path.expanduser(chosen or "~/.moat")))  # noqa: PTH100, PTH111  keeps symlinks


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run, all 0600 below a 0700 folder."""

    root: Path

    @property
    def id(self) -> str:
        return self.root.name

    @property
    def spec(self) -> Path:
        """`RunSpec`, written once by the creator."""
        return self.root / "spec.json"

    @property
    def database(self) -> Path:
        """SQLite: the run's traffic; see `egress.record_rows`."""
        return self.root / "run.db"

    @property
    def journal(self) -> Path:
        """A folder per session: `main`, `exec-1`, ..."""
        return self.root / "journal"

    @property
    def private(self) -> Path:
        """What the sandbox may write beside the workspace: its home and its /tmp."""
        return self.root / "private"

    @property
    def exits(self) -> Path:
        """`<session>.json`: exit statuses, written by the shim."""
        return self.root / "exit"

    @property
    def events(self) -> Path:
        """JSON lines, what has happened to the run; see `runs.event_log`."""
        return self.root / "events.jsonl"

    @property
    def workspace_snapshot(self) -> Path:
        """What the host obeyed in the workspace before the start; see `workspace.snapshot`."""
        return self.root / "trusted.json"

    @property
    def cleanup_lock(self) -> Path:
        """Held (`flock`) by the process that cleans up the workspace after the run."""
        return self.root / "disarm.lock"

    @property
    def quarantine_report(self) -> Path:
        """What the clean-up changed in the workspace, a line for each change."""
        return self.root / "disarmed.txt"

    @property
    def names(self) -> Path:
        """Names that the sandbox has asked for, in the order of their addresses; see `egress`."""
        return self.root / "names"

    @property
    def additions(self) -> Path:
        """Rules that were given while it ran, newest first."""
        return self.root / "policy.json"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "supervisor.log"

    @property
    def supervisor_lock(self) -> Path:
        """Held (`flock`) by the run's supervisor for as long as it lives: the one writer."""
        return self.root / "supervisor.lock"

    @property
    def launch_lock(self) -> Path:
        """Held by whoever starts a supervisor, and by that supervisor until it listens."""
        return self.root / "launch.lock"

    SUPERVISOR_SOCKET = "supervisor.sock"
