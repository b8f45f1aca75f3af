"""`moat run`: what is refused before anything is started, and what remains then: nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.cli.plain import run as run_command
from moat.config import creation
from moat.errors import SupervisorError
from moat.platform.process import Process
from moat.runs import lock
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from moat.runs.store import Run

COMMAND = str(Path(sys.executable).with_name("moat"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store; the current folder is a project beside it."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MOAT_RUN", raising=False)
    return tmp_path / "home"


def left(home: Path) -> list[object]:
    """Rows and folders of runs."""
    with Store(home) as store:
        rows: list[object] = list(store.all())
    return rows + (list((home / "runs").iterdir()) if (home / "runs").exists() else [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], ["no command", "moat run -- COMMAND", "agent.yaml"]),
        (["run", "--"], ["no command", "moat run -- COMMAND", "agent.yaml"]),
        (["run", "echo", "hi"], ["one argument", "moat run -- echo hi"]),
        (["run", "/nonexistent", "--", "true"], ["/nonexistent can't be read"]),
        (["run", "/etc/passwd", "--", "true"], ["/etc/passwd"]),
        (["run", "-it", "--", "true"], ["not a terminal, but a TTY was asked for"]),
        (["run", "-n", "Not Me", "--", "true"], ["'Not Me'"]),
        (["run", "-m", "/etc", "--", "true"], ["'/etc' is not a mount"]),
        (["run", "--memory", "lots", "--", "true"], ["'lots'"]),
        (["run", "--escape-keys", "no such", "--", "true"], ["no such"]),
        (["run", "--pids", "0", "--", "true"], ["--pids"]),
        (["run", "--network-policy", "open", "--", "true"], ["--network-policy", "strict"]),
        (["run", "--allow", "a b", "--", "true"], ["--allow: 'a b' is not a host"]),
        (["run", "--deny", "a.com/x", "--", "true"], ["--deny: 'a.com/x' is not a host"]),
        (["run", "--frobnicate", "--", "true"], ["--frobnicate"]),
    ],
    ids=" ".join,
)
def test_what_can_not_be_is_refused_and_leaves_nothing(
    home: Path, arguments: list[str], words: list[str]
) -> None:
    """One line that says what, one that says what to do; exit code 2; no run."""
    done = subprocess.run(
        [COMMAND, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("moat: ")
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert left(home) == []


def test_a_run_can_not_start_runs_or_attach_to_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inside, MOAT_RUN names the run."""
    created(home)
    monkeypatch.setenv("MOAT_RUN", "0123456789ab")
    assert run(["run", "--", "true"]) == 2
    assert "inside a run" in capsys.readouterr().err
    assert run(["attach", "fix"]) == 2
    assert "inside that run" in capsys.readouterr().err


def test_a_start_that_no_supervisor_took_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run was entered in the index before anybody could know that it would not begin."""

    def fail(*_: object) -> int:
        raise SupervisorError("it ended before it could answer")

    monkeypatch.setattr("moat.client.attach.attach.attach", fail)
    assert run(["run", "--", "true"]) == 125
    assert "before it could answer" in capsys.readouterr().err
    assert left(home) == []


@pytest.mark.parametrize("gone", ["row", "folder", "row and folder"])
def test_a_run_that_its_supervisor_removes_is_left_to_it(home: Path, gone: str) -> None:
    """Why the start failed is what is said then, not that there is nothing to discard."""
    found = created(home)
    with Store(home) as store:
        folder = store.folder(found.id).root
        if gone == "folder":
            shutil.rmtree(folder)
        else:
            store.remove(found.id)
        if gone == "row":
            folder.mkdir()
        run_command._discard(store, found)
        assert not folder.exists() or list(folder.iterdir()) == []


def test_it_is_told_when_its_supervisor_has_removed_the_folder(home: Path) -> None:
    """Who sees that a start has failed finds nothing of it any more."""
    found = created(home)
    with Store(home) as store:
        folder = store.folder(found.id)
        store.remove(found.id)
        folder.root.mkdir()
        ready, ready_theirs = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            lock.try_lock(folder.supervisor_lock)
            os.close(ready_theirs)
            wait_for_a_waiter(folder.supervisor_lock)
            shutil.rmtree(folder.root)
            os._exit(0)
        os.close(ready_theirs)
        os.read(ready, 1)
        try:
            run_command._discard(store, found)
            assert not folder.root.exists()
        finally:
            os.kill(supervisor, signal.SIGKILL)  # it would look for a waiter for ever
            os.waitpid(supervisor, 0)
            os.close(ready)


@pytest.mark.parametrize("full", [False, True])
def test_the_supervisor_of_a_failed_run_is_waited_for(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    """It may remove the run at once, or try for long on a full disk: not as long as that."""
    wait = Process.wait
    asked, asking = os.pipe()

    def ask_and_wait(process: Process, timeout: float | None = None) -> None:
        assert timeout == run_command.REMOVAL_S
        os.write(asking, b"?")
        wait(process, 0 if full else timeout)

    monkeypatch.setattr(Process, "wait", ask_and_wait)
    found = created(home)
    with Store(home) as store:
        folder = store.folder(found.id)
        supervisor = os.fork()
        if supervisor == 0:
            os.read(asked, 1)
            if full:
                signal.pause()
            shutil.rmtree(folder.root)
            os._exit(0)
        store.update(found.id, state=State.FAILED, supervisor_pid=supervisor)
        run_command._discard(store, found)
        assert folder.root.exists() is full
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    os.close(asked)
    os.close(asking)


def wait_for_a_waiter(path: Path) -> None:
    """Until somebody waits for the lock. The kernel lists those, and can't tell of a new one."""
    inode = f":{path.stat().st_ino} "
    while not any(
        "->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()
    ):
        os.sched_yield()


@pytest.mark.parametrize("reason", ["begun", "supervised"])
def test_a_run_that_lives_is_not_discarded(home: Path, reason: str) -> None:
    """When only our own way to it has failed."""
    found = created(home)
    with Store(home) as store:
        folder = store.folder(found.id)
        held = lock.try_lock(folder.supervisor_lock) if reason == "supervised" else None
        if reason == "begun":
            store.update(found.id, state=State.RUNNING)
        run_command._discard(store, found)
        assert store.get(found.id).name == "fix"
        if held is not None:
            os.close(held)


def created(home: Path) -> Run:
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="fix",
        command=("true",),
        workspace="/",
        created_at="2026-01-01T00:00:00.000Z",
    )
    with Store(home) as store:
        return store.create(spec)


def test_a_detached_run_may_have_a_tty_without_a_terminal(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that drives an agent has no terminal; nobody watches when it starts."""
    started: list[Run] = []

    def leave(_store: Store, found: Run) -> int:
        started.append(found)
        return 0

    monkeypatch.setattr(run_command, "_leave", leave)
    assert run(["run", "-d", "-t", "--", "true"]) == 0
    assert run(["run", "-d", "-i", "--", "cat"]) == 0
    assert [(found.tty, found.interactive) for found in started] == [(True, False), (False, True)]
    assert len(left(home)) == 4


def test_the_file_of_another_project_is_used(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH is where agent.yaml is looked for."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "agent.yaml").write_text("name: there\ncommand: [make]\n")
    seen: list[RunSpec] = []
    real = creation.compile_spec

    def compile_spec(*arguments: object) -> RunSpec:
        seen.append(real(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(creation, "compile_spec", compile_spec)
    monkeypatch.setattr(run_command, "_leave", lambda *_: 0)
    assert run(["run", "-d", "--trust-project", str(other)]) == 0
    assert (seen[0].name, seen[0].command, seen[0].workspace) == ("there", ("make",), str(other))
    assert home.exists()
