"""The paths of Moat's files: the store's folder, and the folder of one run.

Nothing here reads or creates a file; `runs.store` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from moat.home import WORKTREES, home_path

MAIN_SESSION: Final = "main"
"""The session of a run's own command."""


def moat_home() -> Path:
    """Return the absolute path of the store: `$MOAT_HOME`, or else `~/.moat`."""
    return Path(home_path())


def worktrees_folder(home: Path) -> Path:
    """Return the folder of the store with worktrees that runs have for workspaces."""
    return home / WORKTREES


def agent_files(private: Path) -> Path:
    """Return the folder, in a run's private one, that its agent sees and can't write."""
    return private / "agent"


class RunFolder(NamedTuple):
    """The files of one run, which have mode 0600 and lie below a folder of mode 0700."""

    root: Path

    @property
    def id(self) -> str:
        return self.root.name

    @property
    def spec(self) -> Path:
        """The `RunSpec`, written once by the run's creator."""
        return self.root / "spec.json"

    @property
    def database(self) -> Path:
        """The record of the run's traffic (SQLite); see `egress.traffic.schema`."""
        return self.root / "run.db"

    @property
    def journal(self) -> Path:
        """A folder with one folder per session: `main`, `exec-1`, ..."""
        return self.root / "journal"

    @property
    def sessions(self) -> Path:
        """A folder with a record for each session but `main`; see `runs.session_records`."""
        return self.root / "sessions"

    @property
    def private(self) -> Path:
        """The folder that the sandbox may write besides the workspace: its home and its /tmp."""
        return self.root / "private"

    @property
    def copy(self) -> Path:
        """The copy of the workspace that the run works on, if it works on one."""
        return self.root / "workspace"

    @property
    def copied_manifest(self) -> Path:
        """Manifest of the user's workspace as it was copied; see `workspace.copying`."""
        return self.root / "copied.manifest"

    @property
    def exits(self) -> Path:
        """A folder of exit statuses, `<session>.json`, which the shim writes."""
        return self.root / "exit"

    @property
    def events(self) -> Path:
        """The events of the run, as JSON lines; see `runs.event_log`."""
        return self.root / "events.jsonl"

    @property
    def imported(self) -> Path:
        """The mark of a run that came here as a file; see `runs.imported`."""
        return self.root / "imported.json"

    @property
    def audit(self) -> Path:
        """The audit log; see `audit.log`."""
        return self.root / "audit.log"

    @property
    def cosignatures(self) -> Path:
        """What witnesses have signed of the audit log; see `audit.cosignatures`."""
        return self.root / "cosignatures.json"

    @property
    def workspace_snapshot(self) -> Path:
        """Record of what the host obeyed in the workspace before the start; see `workspace.snapshot`."""
        return self.root / "trusted.json"

    @property
    def cleanup_lock(self) -> Path:
        """Held (`flock`) by the process that cleans up the workspace after the run."""
        return self.root / "disarm.lock"

    @property
    def quarantine_report(self) -> Path:
        """Report of what the clean-up changed in the workspace, a line for each change."""
        return self.root / "disarmed.txt"

    @property
    def start_manifest(self) -> Path:
        """Manifest of the workspace when the run started; see `workspace.manifest`."""
        return self.root / "start.manifest"

    @property
    def start_contents(self) -> Path:
        """The contents of the files in the manifest: another name of a file in `snapshots`."""
        return self.root / "start.contents"

    @property
    def recorder_lock(self) -> Path:
        """Held (`flock`) by the process that records the workspace at the start, or at the end."""
        return self.root / "recorder.lock"

    @property
    def changes(self) -> Path:
        """Changes that the run has made in the workspace, once it has ended; see `workspace.changes`."""
        return self.root / "changes.json"

    @property
    def changed_contents(self) -> Path:
        """The contents of changed files, as they were before and after."""
        return self.root / "changes.contents"

    @property
    def snapshots(self) -> Path:
        """A folder with the snapshots of the workspace besides the start; see `workspace.history`."""
        return self.root / "snapshots"

    @property
    def workspace_indexes(self) -> Path:
        """A folder with copies of git's indexes from before the start; see `workspace.snapshot`."""
        return self.root / "indexes"

    @property
    def trust_report(self) -> Path:
        """Findings of the clean-up in the workspace, for programs; see `workspace.findings`."""
        return self.root / "findings.json"

    @property
    def names(self) -> Path:
        """The names that the sandbox has resolved, in the order of their addresses; see `egress`."""
        return self.root / "names"

    @property
    def limits(self) -> Path:
        """The limits that were changed while the run was alive."""
        return self.root / "limits.json"

    @property
    def additions(self) -> Path:
        """The rules that were added while the run was alive, newest first."""
        return self.root / "policy.json"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "supervisor.log"

    @property
    def supervisor_lock(self) -> Path:
        """A lock that the run's supervisor, its only writer, holds for as long as it lives."""
        return self.root / "supervisor.lock"

    @property
    def launch_lock(self) -> Path:
        """A lock that a client holds to start a supervisor, and that supervisor until it listens."""
        return self.root / "launch.lock"

    SUPERVISOR_SOCKET = "supervisor.sock"
