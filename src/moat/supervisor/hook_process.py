"""Started as `python -I -S .../moat/supervisor/hook_process.py SECONDS COMMAND...`.

One command of the user's with a deadline, in a process of its own: it goes on when the supervisor is
gone, and that has no children to wait for. The command reads this process's standard input. What has
become of it is written to descriptor 3, for whoever still listens: `ok`, or why it has failed.

The standard library alone: it starts in a few milliseconds.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

_RESULT = 3


def outcome(seconds: float, command: list[str]) -> str:
    """Return what has become of the command: `ok`, or why it has failed."""
    try:
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ),  # which `moat.supervisor.hooks` has made
            cwd="/",  # nothing is to be taken from the folder of a project
            start_new_session=True,
        )
    except OSError as exc:
        return f"it can't be started: {exc.strerror}"
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return f"it took longer than {seconds:g} s"
    return f"exit code {code}" if code else "ok"


def main() -> None:
    result = outcome(float(sys.argv[1]), sys.argv[2:])
    with suppress(BrokenPipeError):  # the supervisor has left meanwhile
        os.write(_RESULT, result.encode())


if __name__ == "__main__":
    main()
