"""Bad input and broken surroundings: one clear line each, and nothing left behind."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import TIMEOUT_S

from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to mount or to change owners"
)


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 125) -> None:
    """The command failed with a line (and a hint) of ours that has these words."""
    assert done.returncode == code, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("moat: "), done.stderr
    assert len(lines) <= 3, done.stderr
    for word in words:
        assert word in done.stderr


def nothing_left(moat: Any) -> None:
    """No row and no folder of a run."""
    assert moat.runs() == []
    runs = moat.home / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []


# --- what was asked for can't be ---


def test_no_command_anywhere(moat: Any) -> None:
    """It says so, and how to give one."""
    refused(moat("run"), "command", "moat run", code=2)
    nothing_left(moat)


def test_a_command_that_is_not_in_the_sandbox(moat: Any) -> None:
    """127 and its name, as from a shell; the run itself was real."""
    done = moat("run", "--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr
    assert "not found" in done.stderr


def test_a_command_that_is_no_program(moat: Any) -> None:
    """126, as from a shell, for a file that can't be executed."""
    (moat.workspace / "data").write_text("nothing to execute\n")
    done = moat("run", "--", "./data")
    assert done.returncode == 126
    assert "data" in done.stderr


@pytest.mark.parametrize("path", ["missing", "file"])
def test_a_path_that_is_no_folder(moat: Any, path: str) -> None:
    """The workspace must be a folder that is there."""
    (moat.workspace / "file").write_text("")
    refused(moat("run", path, "--", "true"), path, code=2)
    nothing_left(moat)


def test_a_path_that_can_not_be_read(moat: Any) -> None:
    """A folder without rights is refused by name; root gives up the right to read all the same."""
    closed = moat.workspace / "closed"
    closed.mkdir(mode=0)
    as_others = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*(as_others if os.geteuid() == 0 else ()), moat.command, "run", closed, "--", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=moat.workspace,
        env=moat.environment,
        check=False,
    )
    refused(done, str(closed), code=2)
    nothing_left(moat)


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("/no/such/folder:/data", "/no/such/folder"),
        ("/tmp", "SRC:DST"),
        ("/usr:data", "data"),
        ("/usr:/data:rx", "rx"),
    ],
)
def test_a_bad_mount(moat: Any, mount: str, words: str) -> None:
    """Each is refused before anything starts, with what is wrong in it."""
    done = moat("run", "-m", mount, "--", "true")
    refused(done, words, code=done.returncode)
    assert done.returncode in (2, 125)
    nothing_left(moat)


def test_a_name_that_is_taken(moat: Any) -> None:
    """The second run is refused while the first lives, and the first is as it was."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity")
    before = moat.runs()
    refused(moat("run", "-n", "x", "--", "true"), "x exists", "moat destroy x")
    assert moat.runs() == before
    assert len(list((moat.home / "runs").iterdir())) == 1


def test_a_tty_without_a_terminal(moat: Any) -> None:
    """Asked for a TTY, but stdin is none: said at once, and nothing started."""
    refused(moat("run", "-it", "--", "sh"), "terminal", code=2)
    nothing_left(moat)


@pytest.mark.parametrize("command", ["attach", "stop", "kill", "inspect", "logs", "exec"])
def test_a_run_that_is_missing(moat: Any, command: str) -> None:
    """Every command names what was not found."""
    words = ("--", "true") if command == "exec" else ()
    refused(moat(command, "nothing", *words), "no run 'nothing'", "moat list -a")


# --- the store ---


def test_a_store_in_a_deep_folder(moat: Any, tmp_path: Path) -> None:
    """Socket paths are bounded (sun_path, 107 bytes); the path of a store is not."""
    home = tmp_path.joinpath(*("a-deep-folder-name" * 3 for _ in range(6)))
    home.mkdir(parents=True)
    assert len(str(home)) > 300
    deep = {"MOAT_HOME": str(home)}
    assert moat("run", "-d", "-n", "x", "--", "sleep", "1000", **deep).returncode == 0
    assert moat("exec", "x", "--", "echo", "hello", **deep).stdout == "hello\n"
    assert moat("destroy", "-f", "x", **deep).returncode == 0
    assert moat("run", "--", "sh", "-c", "exit 5", **deep).returncode == 5


@needs_root
@pytest.mark.parametrize("when", ["before the first run", "later"])
def test_a_read_only_store(moat: Any, when: str) -> None:
    """What can be read is read; what would have to write says so."""
    if when == "later":
        moat.write_settings("spare: false\n")  # who has a file open for writing keeps a mount busy
        moat.ok("run", "-n", "x", "--", "echo", "hello")
        gone(moat.supervisor("x"))
    moat.home.mkdir(exist_ok=True)
    with mounted(moat.home, "--bind", str(moat.home)):
        subprocess.run(["mount", "-o", "remount,bind,ro", moat.home], check=True)
        refused(moat("run", "-n", "y", "--", "true"), str(moat.home))
        if when == "later":
            assert moat.ok("logs", "x") == "hello\n"
            assert "x" in moat.ok("list", "-a")
    assert len(moat.runs()) == (1 if when == "later" else 0)


@needs_root
def test_a_store_of_another_user(moat: Any) -> None:
    """A store that another could change is not used."""
    moat.home.mkdir(exist_ok=True)
    os.chown(moat.home, 65534, 65534)
    for arguments in (("run", "--", "true"), ("list",)):
        refused(moat(*arguments), "belongs to another user (uid 65534)", "MOAT_HOME")
    os.chown(moat.home, 0, 0)


def test_a_damaged_index(moat: Any) -> None:
    """It is said, with the remedy; the remedy brings every run back."""
    assert moat("run", "-n", "x", "--", "sh", "-c", "exit 3").returncode == 3
    gone(moat.supervisor("x"))  # its last act is to close the database
    database = moat.home / "moat.db"
    for extra in ("-wal", "-shm"):
        Path(f"{database}{extra}").unlink(missing_ok=True)
    database.write_bytes(b"this is no database, whatever its name says; " * 100)
    for arguments in (("run", "--", "true"), ("list",), ("attach", "x")):
        refused(moat(*arguments), "moat.db", "moat doctor --rebuild-index")
    moat.ok("doctor", "--rebuild-index")
    run = moat.inspect("x")
    assert (run["state"], run["exit_code"]) == ("stopped", 3)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', "\0" * 4096])
def test_a_damaged_specification(moat: Any, content: str) -> None:
    """A run that can't be understood is refused by name, and can be removed."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    run = moat.inspect("x")
    moat.kill("x", "supervisor", "shim")
    (moat.home / "runs" / run["id"] / "spec.json").write_text(content)
    refused(moat("attach", "x"), f"specification of run {run['id']}", "moat destroy")
    assert "x" in moat.ok("list", "-a")
    moat.ok("destroy", "-f", "x")
    nothing_left(moat)


# --- the disk ---


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    subprocess.run(["mount", *how, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def small_disk(moat: Any) -> Iterator[Callable[[int], None]]:
    """The store is on a disk of its own, 8 MiB; `small_disk(N)` leaves N KiB of it free."""
    moat.home.mkdir(exist_ok=True)
    filler = moat.home / "filler"

    def leave(kilobytes: int) -> None:
        filler.unlink(missing_ok=True)
        free = os.statvfs(moat.home)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - kilobytes * 1024)

    with mounted(moat.home, "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"):
        moat.ok("list")
        yield leave
        filler.unlink(missing_ok=True)
        for run in moat.runs():
            moat.ok("destroy", "-f", run["id"])


@needs_root
@pytest.mark.parametrize("kilobytes", [0, 4, 16, 28, 32, 36, 40, 44, 48, 56, 64, 96, 192, 512])
def test_a_start_on_a_full_disk(
    moat: Any, small_disk: Callable[[int], None], kilobytes: int
) -> None:
    """Wherever the room ends, the run works or says that there is none, and leaves nothing."""
    small_disk(kilobytes)
    done = moat("run", "-n", "x", "--", "sh", "-c", "exit 3")
    small_disk(1024)
    if done.returncode == 3:
        assert moat.ok("wait", "x") == "3\n"
    else:
        refused(done)
        assert "space" in done.stderr or "full" in done.stderr or "megabytes" in done.stderr
        for path in (moat.home / "runs").glob("*/supervisor.lock"):
            with suppress(FileNotFoundError):  # removed while we looked
                lock.wait_until_free(path)  # until it has found the room to remove the run
        nothing_left(moat)


@needs_root
def test_output_on_a_full_disk_waits(moat: Any, small_disk: Callable[[int], None]) -> None:
    """The command waits until there is room, which is said; then every line is there, once."""
    moat.ok("run", "-id", "-n", "x", "--", "sh", "-c", "read line; seq 100000")
    small_disk(256)
    moat.ok("send", "x", "go\n")
    deadline = time.monotonic() + TIMEOUT_S
    while not (run := moat.inspect("x"))[
        "error"
    ]:  # nothing tells of it where nothing can be written
        assert time.monotonic() < deadline
    assert run["state"] == "running"
    assert "full" in run["error"]
    small_disk(1024)
    assert moat.ok("wait", "x") == "0\n"
    assert moat.ok("logs", "x") == "".join(f"{number}\n" for number in range(1, 100001))
    assert moat.inspect("x")["error"] is None


@needs_root
def test_an_end_on_a_full_disk(moat: Any, small_disk: Callable[[int], None]) -> None:
    """The exit code reaches who waits for it, and the index when it can."""
    moat.ok("run", "-id", "-n", "x", "--", "sh", "-c", "read line; exit 9")
    with moat.start("wait", "x") as waiting:
        small_disk(0)
        watching = moat.start("attach", "x")
        moat.ok("send", "x", "go\n")
        assert watching.wait(TIMEOUT_S) == 9
        watching.communicate()
        small_disk(1024)
        out, _ = waiting.communicate(timeout=TIMEOUT_S)
    assert out == b"9\n"
    assert moat.ok("wait", "x") == "9\n"
    run = moat.inspect("x")
    assert (run["state"], run["exit_code"]) == ("stopped", 9)


# --- the machine ---


def test_no_bubblewrap(moat: Any) -> None:
    """Its absence is named with the command that installs it, by `doctor` too."""
    shell = 'mount --bind /dev/null "$(readlink -f /usr/bin/bwrap)"; exec "$@"'
    without = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, "sh"]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*without, moat.command, *arguments],
            capture_output=True,
            text=True,
            cwd=moat.workspace,
            env=moat.environment,
            timeout=TIMEOUT_S,
            check=False,
        )

    refused(call("run", "--", "true"), "bwrap", "install bubblewrap")
    nothing_left(moat)
    doctor = call("doctor")
    assert doctor.returncode != 0
    assert "install bubblewrap" in doctor.stdout


def test_no_user_namespaces(moat: Any, tmp_path: Path) -> None:
    """A machine that allows none (here: a user namespace whose limit is 0) is told from others."""
    shell = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    without = ["unshare", "--user", "--map-root-user", "sh", "-c", shell, "sh"]
    done = subprocess.run(
        [*without, moat.command, "run", "--", "true"],
        capture_output=True,
        text=True,
        cwd=moat.workspace,
        env=moat.environment,
        timeout=TIMEOUT_S,
        check=False,
    )
    refused(done, "user namespace")
    nothing_left(moat)


# --- the sandbox ---


def test_a_killed_shim(moat: Any) -> None:
    """The sandbox dies with it: the run is lost, and whoever watches is told."""
    with moat.start("run", "-n", "x", "--", "sh", "-c", "echo here; sleep 1000") as watching:
        assert watching.stdout.readline() == b"here\n"
        command = moat.inspect("x")["pid"]
        handle = os.pidfd_open(command)
        moat.kill("x", "shim")
        _, err = watching.communicate(timeout=TIMEOUT_S)
    assert watching.returncode == 125
    assert b"x is lost" in err
    assert ended(handle)
    assert moat.inspect("x")["state"] == "lost"
    refused(moat("stop", "x"), "lost")
    refused(moat("exec", "x", "--", "true"), "lost")


def gone(pid: int) -> None:
    """Returns when the process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert ended(handle)


def ended(handle: int) -> bool:
    try:
        return bool(select.select([handle], [], [], TIMEOUT_S)[0])
    finally:
        os.close(handle)


@pytest.mark.parametrize("tty", ["", "-t"])
@pytest.mark.parametrize("kind", ["run", "exec"])
def test_nothing_is_inherited(moat: Any, terminal: Callable[..., Any], kind: str, tty: str) -> None:
    """A command has its standard descriptors and nothing else of ours."""
    script = "import os; print('fds', sorted(map(int, os.listdir('/proc/self/fd')))[:-1], 'end')"
    command = ("--", "python3", "-c", script)
    if kind == "exec":
        moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    arguments = (kind, *(["x"] if kind == "exec" else []), *([tty] if tty else []), *command)
    window = terminal(*arguments)
    assert window.expect(rb"fds (.*?) end")[1] == b"[0, 1, 2]"
    assert window.wait() == 0
