"""Errors in words that a user can act on.

Every error that reaches a user is a `MoatError`: a summary (what failed and why) and a hint (what to do
now). `cli.outcome` turns it into one or two lines and an exit code. No other code prints it, and no code
below `cli` ends the process.
"""

from __future__ import annotations

# Moat's own failures, by the conventions of shells and `docker run`: 125 is a failure of the tool
# itself, 126 and 127 belong to the command, 128 + n to signals.
EXIT_FAILURE = 125
EXIT_USAGE = 2
# Beside it, because the remedy is another command line, and of its own, because scripts may want to ask.
EXIT_CONSENT = 3


class MoatError(Exception):
    """A failure with a remedy.

    `summary` says what failed and why, in lower case and without a full stop; `hint` says what to do.
    `code` is stable and for programs: it is shown by `--json`.
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
    """The command line or one of the user's files asks for something impossible."""

    code = "usage"
    exit_code = EXIT_USAGE


class ConsentError(MoatError):
    """A project's file opens something that the user hasn't agreed to."""

    code = "consent"
    exit_code = EXIT_CONSENT


class GrantMissingError(MoatError):
    """The vault doesn't have a credential that a run is to be granted, or it has expired."""

    code = "grant_missing"


class RunNotFoundError(MoatError):
    """There is no run with that id, prefix or name."""

    code = "run_not_found"


class RunNotActiveError(MoatError):
    """The run exists, but its state doesn't allow the request."""

    code = "run_not_active"


class RunNotAppliedError(MoatError):
    """The run's copy of the workspace has changes that exist nowhere else."""

    code = "run_not_applied"


class NameTakenError(MoatError):
    """Another run has the name already."""

    code = "name_taken"


class StoreError(MoatError):
    """The store under MOAT_HOME can't be used."""

    code = "store"


class EngineError(MoatError):
    """The sandbox can't be made on this machine, or it failed to start."""

    code = "engine"


class OutputError(MoatError):
    """The output of a command can't be written."""

    code = "output"

    @classmethod
    def because(cls, error: OSError) -> OutputError:
        return cls(f"can't write the output: {error.strerror}")


class SupervisorError(MoatError):
    """The run's supervisor can't be started or reached, or its answer can't be understood."""

    code = "supervisor"
