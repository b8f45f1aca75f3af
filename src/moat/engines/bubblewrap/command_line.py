"""Bubblewrap's command line, and where its process finds its descriptors.

The shim starts this without knowing what it is: it places each descriptor under the number that is
named here, and learns on `STARTED` when the command is about to begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bubblewrap's descriptors beside the standard three. `Mounts` has those from 32 on.
STARTED, STDIN, STDOUT, STDERR, INFO, ARGUMENTS, SECCOMP, PROGRAM = range(3, 11)

NUMBERS: Final = {
    "started": STARTED,
    "stdin": STDIN,
    "stdout": STDOUT,
    "stderr": STDERR,
    "info": INFO,
}
"""The descriptors that the shim makes, by the names that it has for them (`shim.launch.start`)."""

# Runs inside the sandbox as the command-to-be. It takes the command's own streams (bubblewrap's are
# for bubblewrap's messages), tells the shim its pid by writing to a socket that passes credentials,
# and becomes the command in a session of its own, with the sandbox's `sh` and `setsid`. Where the shim
# has something left to do in the sandbox, it waits until the shim has closed the socket.
_TRAMPOLINE: Final = (
    f"exec {{streams}} {STDIN}<&- {STDOUT}>&- {STDERR}>&- {INFO}>&-; "
    f"echo >&{STARTED}; {{wait}}exec {STARTED}>&-; "
    'command -v "$1" >/dev/null || '
    '{{ echo "moat: $1: command not found in the sandbox" >&2; exit 127; }}; '
    'exec setsid {ctty} "$@"'
)
# A terminal and /dev/null are opened anew, as the sandbox shows them: through the shim's descriptors
# the command could change the host's inodes.
_TERMINAL: Final = "<>/dev/console >&0 2>&0"
_PIPES: Final = f"<&{STDIN} >&{STDOUT} 2>&{STDERR}"
_NO_INPUT: Final = f"</dev/null >&{STDOUT} 2>&{STDERR}"


def command_line(
    bwrap: str, command: Sequence[str], *, tty: bool, stdin: bool, waits: bool
) -> list[str]:
    """Return the arguments that run `command` behind the program `bwrap`.

    `tty` says whether it has a terminal, `stdin` whether it has input, and `waits` whether the shim is
    to change the sandbox before it begins. What the sandbox shows is
    not among them: bubblewrap reads that from the descriptor `ARGUMENTS`.
    """
    # The command's pty is of the host's /dev/pts, and the sandbox has its own, so ttyname(3) would
    # not find it. Bubblewrap resolves this link before it builds the sandbox.
    console = ("--dev-bind", f"/proc/self/fd/{STDOUT}", "/dev/console") if tty else ()
    streams = _TERMINAL if tty else _PIPES if stdin else _NO_INPUT
    wait = f"read -r _ <&{STARTED}; " if waits else ""
    trampoline = _TRAMPOLINE.format(streams=streams, wait=wait, ctty="-c" if tty else "")
    return [
        *(bwrap, "--args", str(ARGUMENTS), "--seccomp", str(SECCOMP)),
        *console,
        *("--info-fd", str(INFO), "--", "/bin/sh", "-c", trampoline, "moat", *command),
    ]
