"""A search that another process does, while the supervisor that needs its result still loads."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

Found = dict[str, dict[str, bool]]
"""The paths that a sandbox must not see, by the folder that was searched (`search.hidden_in`)."""


class SearchAhead:
    """A search that has begun. To be started while this process has no threads and no loop."""

    def __init__(self, search: Callable[[], Found]) -> None:
        self._answer, answer = os.pipe()
        if os.fork() == 0:
            _search(search, answer)
        os.close(answer)

    def result(self) -> Found:
        """Wait for the result; it is empty if the other process has failed. Call this once."""
        with open(self._answer, "rb") as answer:  # noqa: PTH123  a descriptor
            text = answer.read()
        return json.loads(text) if text else {}


def _search(search: Callable[[], Found], answer: int) -> NoReturn:
    """Search and end, whatever happens: an empty answer makes the supervisor search by itself."""
    try:
        # Whether the supervisor lives is told by its sockets and locks.
        kept = os.dup2(answer, 3)
        os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
        os.write(kept, json.dumps(search()).encode())
    finally:
        os._exit(0)
