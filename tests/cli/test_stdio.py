"""Standard output that can't be written: a line about it, and never a report of a bug."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("moat"))
FULL = "exec >/dev/full"
CLOSED = "exec >&-"


def _said(redirection: str, *command: str, home: Path) -> tuple[int, str]:
    """Exit code and stderr; whatever else the command leaves lies in `home`."""
    done = subprocess.run(
        ["sh", "-c", f'{redirection}; exec "$@"', "-", *command],
        capture_output=True,
        check=False,
        text=True,
        env={"MOAT_HOME": str(home / "store"), "TMPDIR": str(home), "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["version"], ["--help"]])
@pytest.mark.parametrize(
    ("redirection", "why"), [(FULL, "No space left on device"), (CLOSED, "Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_one_line(
    tmp_path: Path, arguments: list[str], redirection: str, why: str
) -> None:
    """It is the disk's fault, or the script's: nobody has to be told of a bug."""
    assert _said(redirection, COMMAND, *arguments, home=tmp_path) == (
        125,
        f"moat: can't write the output: {why}\n",
    )
    assert not list(tmp_path.glob("moat-error-*"))


def test_what_cannot_be_said_at_all_still_has_an_exit_code(tmp_path: Path) -> None:
    """Neither stream is there."""
    for redirection in ("exec >&- 2>&-", "exec >/dev/full 2>/dev/full"):
        assert _said(redirection, COMMAND, "list", home=tmp_path) == (125, "")
        assert _said(redirection, COMMAND, "list", "--nope", home=tmp_path) == (2, "")
    assert not list(tmp_path.glob("moat-error-*"))


def test_a_command_that_prints_nothing_needs_no_output(tmp_path: Path) -> None:
    """What failed is said as ever."""
    code, text = _said(CLOSED, COMMAND, "stop", "nobody", home=tmp_path)
    assert (code, text.splitlines()[0]) == (125, "moat: no run 'nobody'")


def test_no_file_is_opened_in_the_place_of_a_stream(tmp_path: Path) -> None:
    """It would get what is printed."""
    script = (
        "import os, sys; from moat.platform.descriptors import open_missing; open_missing();"
        "sys.exit(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "file")]
    code, _ = _said("exec <&- >&- 2>&-", *command, home=tmp_path)
    assert code > 2


def test_a_lost_terminal_is_no_bug(tmp_path: Path) -> None:
    """What is said on stderr can be in vain, too, and what is printed is still written."""
    script = (
        "import sys, click; from moat.cli import main, stdio; stdio.prepare();"
        "tell = lambda *_, **__: (sys.stdout.write('text'), sys.stderr.write('told'));"
        "main.moat.main = lambda *_, **__: (tell(), sys.stderr.flush()); sys.exit(main.run([]))"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec 2>/dev/full; exec "$@"', "-", sys.executable, "-c", script],
        capture_output=True,
        check=False,
        env={"TMPDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (125, b"text")
    assert not list(tmp_path.glob("moat-error-*"))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_said_is_said_at_once(tmp_path: Path, unbuffered: str) -> None:
    """Also where Python is told to buffer nothing: its streams then look different."""
    script = (
        "import os, sys; from moat.cli import stdio; stdio.prepare();"
        "sys.stderr.write('said\\n'); os.write(2, b'then')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        env={"PYTHONUNBUFFERED": unbuffered, "MOAT_HOME": str(tmp_path)},
    )
    assert done.stderr == b"said\nthen"


def test_text_is_written_as_python_would(tmp_path: Path) -> None:
    """In the encoding of the environment."""
    script = "from moat.cli.stdio import prepare; prepare(); print('grün')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "latin-1", "MOAT_HOME": str(tmp_path)},
    )
    assert done.stdout == b"gr\xfcn\n"
