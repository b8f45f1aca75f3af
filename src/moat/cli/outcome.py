"""The end of a command: its exit code, and every error as a line or two for the user."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from moat.cli.stdio import discard
from moat.errors import MoatError, OutputError
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Callable


def outcome(act: Callable[[], object]) -> int:
    """Carry out a command, and return its exit code. Errors are printed nowhere else."""
    try:
        code = _carry_out(act)
        sys.stdout.flush()  # here, where a failure can still be reported
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # nobody reads our output any more
        discard(1)
        return 141
    except OutputError as error:
        _flush_what_can_be()
        return _report(error)
    return code


def _carry_out(act: Callable[[], object]) -> int:
    try:
        code = act()
    except (KeyboardInterrupt, BrokenPipeError, OutputError):
        raise
    except MoatError as error:
        return _report(error)
    except Exception as error:  # noqa: BLE001  the root: a line for the user, the rest in a file
        return _report(_internal(error))
    return code if isinstance(code, int) else 0


def _flush_what_can_be() -> None:
    try:
        sys.stdout.flush()
    except (OSError, OutputError):
        discard(1)


def _report(error: MoatError) -> int:
    # An error may quote a project's file, and so a hostile program.
    lines = [f"moat: {without_controls(error.summary)}\n"]
    lines += [f"      {without_controls(each)}\n" for each in (error.hint or "").splitlines()]
    try:
        sys.stderr.write("".join(lines))
    except (OSError, OutputError):
        discard(2)  # the exit code still says that it failed
    return error.exit_code


def _internal(error: Exception) -> MoatError:
    import tempfile  # noqa: PLC0415  rarely needed
    import traceback  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(
        "w", prefix="moat-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    return MoatError(f"internal error: {error!r}", f"Please report it, and attach {file.name}")
