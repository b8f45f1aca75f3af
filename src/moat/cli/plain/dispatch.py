"""Dispatch of a plain command line to the function that it calls."""

from __future__ import annotations

import importlib
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from moat.cli.plain.command_line import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moat.client.connect.standby import Standby

_FOR_CLICK: Final = frozenset(("_MOAT_COMPLETE", "MOAT_PROFILE"))
"""Variables that click reads: a shell asks by one what could follow, the other stands for an option."""

_STARTING: Final = frozenset(("run", "agent"))
"""Commands that start a run."""


def plain_command(
    arguments: Sequence[str], supervisor: Standby | None = None
) -> Callable[[], object] | None:
    """Return what carries out `moat ARGUMENTS`; `None` where click has to read them.

    `supervisor` is on standby for the run that the arguments start.
    """
    plain = None if _FOR_CLICK & os.environ.keys() else parse(arguments)
    if plain is None:
        return None
    module = importlib.import_module(f"moat.cli.plain.{plain.name}")
    if plain.name in _STARTING:
        return partial(module.carry_out, supervisor=supervisor, **plain.given)
    return partial(module.carry_out, **plain.given)
