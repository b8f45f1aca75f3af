"""What can go wrong in words a user can act on.

Every error that reaches a user is a `MoatError`: a summary (what failed and why) and a hint (what to
do now). `cli.main` turns it into one or two lines and an exit code; nobody else prints it, and
nothing below `cli` ends the process.
"""

from __future__ import annotations

# Moat's own failures, as docker run and the shells' conventions have it: 125 is "the tool itself",
# 126 and 127 belong to the command, 128 + n to signals.
EXIT_FAILURE = 125
EXIT_USAGE = 2


class MoatError(Exception):
    """A failure with a remedy.

    `summary` says what failed and why, lower case, without a full stop; `hint` says what to do.
    `code` is stable and machine-readable (it is what `--json` shows).
    """

    code: str = "error"
    exit_code: int = EXIT_FAILURE

    def __init__(self, summary: str, hint: str | None = None) -> None:
        super().__init__(summary)
        self.summary = summary
        self.hint = hint

    def __str__(self) -> str:
        return self.summary if self.hint is None else f"{self.summary}\n{self.hint}"


class UsageError(MoatError):
    """The command line or a file of the user's asks for something that can't be."""

    code = "usage"
    exit_code = EXIT_USAGE


class RunNotFoundError(MoatError):
    """No run has that id, prefix or name."""

    code = "run_not_found"


class RunNotActiveError(MoatError):
    """The run exists, but its state does not allow what was asked."""

    code = "run_not_active"


class NameTakenError(MoatError):
    """Another run has the name."""

    code = "name_taken"


class StoreError(MoatError):
    """The store under MOAT_HOME can't be used."""

    code = "store"


class EngineError(MoatError):
    """The sandbox can't be made on this machine, or its start failed."""

    code = "engine"


class OutputError(MoatError):
    """What a command has to say can't be written."""

    code = "output"

    @classmethod
    def because(cls, error: OSError) -> OutputError:
        return cls(f"can't write the output: {error.strerror}")


class SupervisorError(MoatError):
    """The run's supervisor can't be started, reached or understood."""

    code = "supervisor"
