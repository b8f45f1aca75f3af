"""`moat attach` by the launcher, and by Python in its place: whoever does it, a user sees the same.

The launcher is compiled here with the sanitizers of addresses and of undefined behaviour.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scripts.build_hook import compile_launcher
from tests.e2e.conftest import COMMAND, TIMEOUT_S
from tests.e2e.test_keyboard import SLOW
from tests.e2e.test_terminal import FULL_SCREEN, WAYS, is_as_new

from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Callable

P = b"\x1f"
PYTHON = f"{COMMAND}-python"
ROOT = Path(__file__).parents[2]
SANITIZED = ("-Werror", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Beside it is the Python command, as in an installation."""
    made = compile_launcher(ROOT, tmp_path_factory.mktemp("bin") / "moat", *SANITIZED)
    shutil.copy(PYTHON, made.with_name("moat-python"))
    return str(made)


@pytest.fixture(params=["launcher", "python"])
def attach(request: pytest.FixtureRequest, launcher: str, terminal: Any) -> Callable[..., Any]:
    """`attach("x")`: a window in which one of the two attaches."""
    command = launcher if request.param == "launcher" else PYTHON

    def window(*arguments: str, **options: Any) -> Any:
        return terminal("attach", *arguments, command=command, **options)

    return window


def run_of(moat: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=moat.environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def is_native(window: Any) -> bool:
    return Path(f"/proc/{window.pid}/exe").readlink().name == "moat"


@pytest.fixture
def full_screen(moat: Any, attach: Any) -> Any:
    """A window on a program that has turned on what there is."""
    (moat.workspace / "app.py").write_text(FULL_SCREEN)
    moat.ok("run", "-itd", "-n", "x", "--", "python3", "app.py")
    moat.ok("wait", "--text", "READY", "x")
    window = attach("x")
    window.shows("READY")
    return window


def test_no_interpreter_is_started(moat: Any, launcher: str, terminal: Any) -> None:
    """Neither with a name, nor with an id, nor without either; all of it is over with `P d`."""
    moat.ok("run", "-itd", "-n", "x", "--", "sh", "-c", "echo ready; exec cat")
    for reference in (["x"], [moat.inspect("x")["id"]], []):
        window = terminal("attach", *reference, command=launcher)
        window.shows("ready")
        assert is_native(window)
        window.send(P + b"d")
        assert window.wait() == 0
        assert "moat: detached; the run goes on. Come back: moat attach x" in window.screen.text()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_out(moat: Any, terminal: Any, full_screen: Any, way: str) -> None:
    """Case 19: `stty` is as before, and every mode is off."""
    before = terminal("version").termios()
    leave, code = WAYS[way]
    leave(moat, full_screen)
    assert full_screen.wait() == code
    assert full_screen.termios() == before
    assert "READY" not in full_screen.screen.text()
    is_as_new(full_screen)


def test_killed(terminal: Any, full_screen: Any) -> None:
    """Case 20: the supervisor gives the terminal back."""
    before = terminal("version").termios()
    full_screen.kill(signal.SIGKILL)
    assert full_screen.wait() == -signal.SIGKILL
    full_screen.set_back_to(before)
    full_screen.shows("before")
    is_as_new(full_screen)


def test_suspended_and_continued(terminal: Any, full_screen: Any) -> None:
    """The terminal is the shell's meanwhile, and then the screen is back."""
    before = terminal("version").termios()
    for _ in range(2):
        full_screen.kill(signal.SIGTSTP)
        full_screen.wait_stopped()
        assert full_screen.termios() == before
        is_as_new(full_screen)
        full_screen.foreground()
        full_screen.shows("READY")
    full_screen.send(P + b"d")
    assert full_screen.wait() == 0
    assert full_screen.termios() == before


def test_the_supervisor_dies(moat: Any, terminal: Any, full_screen: Any) -> None:
    """The view goes on with the next one, in the same process."""
    before = terminal("version").termios()
    full_screen.skip()
    moat.kill("x", "supervisor")
    full_screen.expect(rb"\x1b\[\?1049l")  # cleared
    full_screen.expect(rb"READY")
    full_screen.shows("READY")
    full_screen.send(P + b"d")
    assert full_screen.wait() == 0
    assert full_screen.termios() == before
    is_as_new(full_screen)


def test_input_that_the_supervisor_held(moat: Any, attach: Any) -> None:
    """All of it reaches the program, once, after the supervisor has died; a paste stays one."""
    data = b"\x1b[200~" + bytes(97 + n % 26 for n in range(100_000)) + P + b"d\x1b[201~"
    (moat.workspace / "slow.py").write_text(SLOW)
    os.mkfifo(moat.workspace / "go")
    moat.ok("run", "-itd", "-n", "x", "--", "python3", "slow.py", str(len(data)))
    moat.ok("wait", "--text", "ready", "x")
    window = attach("x")
    window.shows("ready")
    for start in range(0, 100_000, 3000):
        window.send(data[start : min(start + 3000, 100_000)])
    window.keys_are_read()
    moat.ok("screen", "x")  # answered behind the keys, of which the client knows then
    moat.kill("x", "supervisor")
    window.send(data[100_000:])
    with (moat.workspace / "go").open("wb") as go:
        go.write(b"!")
    window.expect(rb"complete")
    assert (moat.workspace / "typed").read_bytes() == data


def test_a_size_that_changes(moat: Any, attach: Any) -> None:
    """The program is told each time."""
    # Not a trap of bash: that misses what comes while it is at work.
    script = """if True:
        import os, signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
        print("ready", flush=True)
        while signal.sigwait({signal.SIGWINCH}):
            columns, lines = os.get_terminal_size()
            print(lines, columns, flush=True)
    """
    moat.ok("run", "-itd", "-n", "x", "--", "python3", "-c", script)
    moat.ok("wait", "--text", "ready", "x")
    window = attach("x", size=(90, 20))
    window.shows("20 90")
    window.resize(101, 29)
    window.shows("29 101")


def test_a_background_job(moat: Any, attach: Any) -> None:
    """The first key stops it; continued, it has the key."""
    moat.ok("run", "-itd", "-n", "x", "--", "cat")
    window = attach("x")
    window.send(b"one\r")
    window.expect(rb"one\r\n.*one\r\n")
    window.take_foreground()
    window.send(b"two\r")
    assert window.wait_stopped() == signal.SIGTTIN
    window.foreground()
    window.expect(rb"two\r\n.*two\r\n")


def test_a_supervisor_that_hangs(moat: Any, terminal: Any, full_screen: Any) -> None:
    """The user can leave; what was typed meanwhile is for nobody."""
    before = terminal("version").termios()
    supervisor = moat.supervisor("x")
    os.kill(supervisor, signal.SIGSTOP)
    full_screen.send(P + b"d")
    assert full_screen.wait() == 0
    assert "detached from a supervisor that does not answer" in full_screen.screen.text()
    assert full_screen.termios() == before
    os.kill(supervisor, signal.SIGCONT)


def test_the_exit_code(moat: Any, attach: Any) -> None:
    """Of the command, or of the signal that ended it."""
    for code in (0, 19):
        moat.ok("run", "-itd", "-n", f"x{code}", "--", "sh", "-c", f"echo on; read x; exit {code}")
        window = attach(f"x{code}")
        window.shows("on")
        window.send(b"\r")
        assert window.wait() == code


def test_an_end_that_needs_words(moat: Any, attach: Any) -> None:
    """A run that its timeout ended says so."""
    moat.ok("run", "-itd", "-n", "x", "--timeout", "3s", "--", "cat")
    window = attach("x")
    window.shows("moat: run x: ")
    assert "timeout" in window.screen.text() or "time" in window.screen.text()
    assert window.wait() != 0


def test_a_run_that_has_ended_or_never_was(moat: Any, attach: Any) -> None:
    """The last screen with its code; and an error in words."""
    moat.ok("run", "-td", "-n", "x", "--", "sh", "-c", "echo last; exit 3")
    moat("wait", "x")
    window = attach("x")
    assert window.wait() == 3
    assert "last" in window.screen.text()
    window = attach("nobody")
    assert window.wait() == 125
    assert "no run 'nobody'" in window.screen.text()


def test_settings_of_the_users_own(moat: Any, attach: Any) -> None:
    """They hold, whoever reads them."""
    moat.write_settings("escape_keys: ctrl-p\n")
    moat.ok("run", "-itd", "-n", "x", "--", "cat")
    window = attach("x")
    window.send(b"\x10d")
    assert window.wait() == 0


def test_whatever_is_unusual_is_pythons(moat: Any, launcher: str) -> None:
    """Other words, no terminal, a damaged index: the same answers, and no word of the launcher's own."""

    def answers(*words: str) -> list[tuple[int, str, str]]:
        done = [run_of(moat, command, *words) for command in (launcher, PYTHON)]
        return [(each.returncode, each.stdout, each.stderr) for each in done]

    unusual = ([], ["--help"], ["attach", "--help"], ["attach", "a/"], ["attach", "x", "y"])
    for words in unusual:
        native, python = answers(*words)
        assert native == python
    moat.ok("run", "-n", "x", "--", "true")
    lock.wait_until_free(moat.home / "runs" / moat.inspect("x")["id"] / "supervisor.lock")
    index = moat.home / "moat.db"
    kept = index.rename(index.with_name("kept"))
    index.write_bytes(b"no database" * 1000)
    native, python = answers("attach", "x")
    kept.replace(index)
    assert native == python
    assert native[0] == 125


@pytest.mark.parametrize("text", ["{}", json.dumps({"run": "x", "what": "lost", "held": "no hex"})])
def test_nonsense_from_somebody_else(moat: Any, text: str) -> None:
    """A variable that somebody has set is an error in words."""
    with (moat.workspace / "handover").open("w+") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(
            [PYTHON, "attach"],
            env=moat.environment | {"MOAT_HANDOVER": str(file.fileno())},
            pass_fds=(file.fileno(),),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 125
    assert "MOAT_HANDOVER is not from Moat's launcher" in done.stderr
