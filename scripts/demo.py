# ruff: noqa: INP001  a script of its own, no part of a package
"""`make demo`: the life of a sealed run on real terminals, as a user sees it.

A small git project has a bug, and a stand-in for an AI agent works on it in a sealed run. The demo
starts the run, leaves, comes back, kills the supervisor, looks for ways out, and approves the commit.
It prints the exact command of each step, and ends with an error if a result is not what it should be.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from pty import fork
from typing import Any, Final

from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

COMMAND: Final = str(Path(sys.executable).with_name("moat"))
SIZE: Final = TerminalSize(columns=72, rows=16)
TIMEOUT_S: Final = 60.0
DETACH: Final = (b"\x1f", b"d")  # Ctrl-/ and d

PROJECT: Final = {
    "median.py": "def median(values):\n    return values[len(values) // 2]\n",
    "test_median.py": (
        "from median import median\n\n"
        "got = median([3, 1, 2])\n"
        "print('all tests pass' if got == 2 else f'FAILED: the median of 3, 1, 2 is not {got}')\n"
    ),
    ".gitignore": "__pycache__/\n",
    "agent.yaml": "network: {policy: strict}\n",
}
AGENT: Final = """\
import pathlib, subprocess, time

def run(*command):
    print("\\033[36m$ " + " ".join(command) + "\\033[m", flush=True)
    return subprocess.run(command).returncode

print("\\033[1mAgent at work in", pathlib.Path.cwd(), "\\033[m")
run("python3", "test_median.py")
for step in range(31):
    print(f"\\rthinking [{'#' * step:30}]", end="", flush=True)
    time.sleep(0.1)
print()
file = pathlib.Path("median.py")
file.write_text(file.read_text().replace("values[len", "sorted(values)[len"))
run("python3", "test_median.py")
if input("Commit this? [y/N] ") == "y":
    run("git", "commit", "-qam", "Sort the values before taking the middle one")
    print("done")
"""


class Window:
    """A terminal window that runs `moat`: a pty, and the screen that its user sees."""

    def __init__(self, *arguments: str) -> None:
        say_command("moat", *arguments)
        self.screen = Screen(SIZE, scrollback=0)
        self._pid, self._tty = fork()
        if self._pid == 0:
            termios.tcsetwinsize(0, (SIZE.rows, SIZE.columns))
            os.execv(COMMAND, ["moat", *arguments])

    def wait_for(self, text: str) -> None:
        """Wait until `text` is on the screen."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.screen.text():
            if not select.select([self._tty], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise SystemExit(
                    f"demo: {text!r} did not appear; on the screen:\n{self.screen.text()}"
                )
            self.screen.feed(self._read())

    def press(self, *keys: bytes) -> None:
        for key in keys:
            os.write(self._tty, key)

    def close(self) -> int:
        """Wait for the end of the command, and return its exit code."""
        while data := self._read():
            self.screen.feed(data)
        os.close(self._tty)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def show(self) -> None:
        """Print the window."""
        lines = self.screen.text().rstrip().split("\n")
        say("   ┌" + "─" * (SIZE.columns + 2) + "┐")
        for line in lines:
            say(f"   │ {line:{SIZE.columns}} │")
        say("   └" + "─" * (SIZE.columns + 2) + "┘")

    def _read(self) -> bytes:
        try:
            return os.read(self._tty, 1 << 16)
        except OSError:  # EIO: no process has the other end open any more
            return b""


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_step(text: str) -> None:
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    say(f"\n\033[1m{text}\033[m" if bold else f"\n{text}")


def say_command(*words: str) -> None:
    say(f"   $ {shlex.join(words)}")


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"demo: {what}")
    say(f"   ✓ {what}")


def command(*words: str, quiet: bool = False, fails: bool = False) -> str:
    """Run a command that must succeed (or fail, if `fails`), and return its output.

    Show command and output unless `quiet`.
    """
    program = [COMMAND, *words[1:]] if words[0] == "moat" else [*words]
    try:
        done = subprocess.run(
            program, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as exc:
        raise SystemExit(f"demo: {shlex.join(words)}: not finished after {TIMEOUT_S:g} s") from exc
    output = (done.stdout + done.stderr).rstrip()
    if not quiet:
        say_command(*words)
        say("\n".join(f"   {line}" for line in output.split("\n")))
    if fails != (done.returncode != 0):
        raise SystemExit(f"demo: {shlex.join(words)}: exit code {done.returncode}\n{output}")
    return output


def inspect() -> dict[str, Any]:
    return json.loads(command("moat", "inspect", "demo", quiet=True))


def make_project(folder: Path) -> None:
    for name, text in {**PROJECT, "agent.py": AGENT}.items():
        (folder / name).write_text(text)
    command("git", "init", "--quiet", quiet=True)
    for key, value in (("user.name", "Demo"), ("user.email", "demo@example.org")):
        command("git", "config", key, value, quiet=True)
    command("git", "add", ".", quiet=True)
    command("git", "commit", "--quiet", "-m", "A median that is wrong", quiet=True)


def play() -> None:
    say_step(
        "1. Start a run: an agent with a terminal, sealed in with this project and nothing else"
    )
    window = Window("run", "-it", "--name", "demo", "--", "python3", "agent.py")
    window.wait_for("thinking")
    window.show()

    say_step("2. Press Ctrl-/ d to leave; the run goes on")
    window.press(*DETACH)
    expect(window.close() == 0, "detached with exit code 0")
    command("moat", "list")

    say_step("3. Come back, from another terminal")
    before = inspect()
    window = Window("attach", "demo")
    window.wait_for("Commit this?")
    window.show()
    seen = window.screen.text()
    window.press(*DETACH)
    window.close()

    say_step("4. Kill the run's supervisor with SIGKILL, then attach: a new supervisor takes over")
    supervisor = inspect()["supervisor"]["pid"]
    say_command("kill", "-9", str(supervisor))
    os.kill(supervisor, signal.SIGKILL)
    window = Window("attach", "demo")
    window.wait_for("Commit this?")
    after = inspect()
    expect(window.screen.text() == seen, "the same screen, character for character")
    expect(after["pid"] == before["pid"], f"the same process, pid {after['pid']}")
    expect(after["supervisor"]["pid"] != supervisor, "a new supervisor")

    say_step("5. Meanwhile, look for ways out of the sandbox")
    for attempt, answer in (
        ("exec 3<>/dev/tcp/1.1.1.1/22", "Connection refused"),
        ("ls ~/.ssh", "No such file"),
        ("echo evil > .git/hooks/pre-commit", "Read-only file system"),
    ):
        said = command("moat", "exec", "demo", "--", "bash", "-c", attempt, fails=True)
        expect(answer in said, f"no way out: {answer.lower()}")
    ask = "exec 3<>/dev/tcp/1.1.1.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3"
    said = command("moat", "exec", "demo", "--", "bash", "-c", ask)
    expect("denied: no rule allows it" in said, "the proxy says what it denies, and what to change")

    say_step("6. Approve the commit, in the terminal that is still attached, and watch the run end")
    window.press(b"y\r")
    code = window.close()
    window.show()
    expect(code == 0, "the exit code is the agent's: 0")
    command("git", "log", "--oneline", "--stat")

    say_step("7. See what was recorded")
    command("moat", "list", "-a")
    command("moat", "logs", "demo", "--timestamps", "-n", "4")
    traced = command("moat", "trace", "demo")
    expect("1.1.1.1:22" in traced and "http://1.1.1.1/" in traced, "both attempts are recorded")
    ended = inspect()
    expect(
        (ended["state"], ended["exit_code"]) == ("stopped", 0), "the run is stopped, exit code 0"
    )

    say_step("8. Remove the run and its record")
    command("moat", "destroy", "demo")
    expect(command("moat", "list", "-a", "--json", quiet=True) == "[]", "all gone")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="moat-demo-") as folder:
        project = Path(folder, "project")
        project.mkdir()
        os.chdir(project)
        os.environ["MOAT_HOME"] = f"{folder}/home"
        make_project(project)
        try:
            play()
        finally:
            for run in json.loads(command("moat", "list", "-a", "--json", quiet=True)):
                command("moat", "destroy", "--force", run["id"], quiet=True)
            os.chdir("/")
    say_step("That was a sealed run. Next: README.md has a tour; `make test` runs every test.")


if __name__ == "__main__":
    main()
