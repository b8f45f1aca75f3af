"""The limits of a run and what it has used up, read from its files, whether it lives or has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moat.egress.budget.spending import Spent
from moat.egress.persistence import PersistentLimits
from moat.egress.traffic.reader import TrafficReader, is_readable
from moat.errors import StoreError
from moat.spec.budget import BUDGET_LIMITS

if TYPE_CHECKING:
    from moat.paths import RunFolder
    from moat.spec import Budget


def read_spending(folder: RunFolder, budget: Budget) -> dict[str, Any]:
    """Return limits and what was used up, as a supervisor answers it. Raises `StoreError`."""
    try:
        changed = PersistentLimits(folder.limits).amounts
    except OSError as exc:
        raise StoreError(f"{folder.limits} can't be read: {exc.strerror}") from exc
    stored: dict[str, int] = {}
    if is_readable(folder.database):
        with TrafficReader(folder.database) as reader:
            stored = reader.spent()
    specified = {name: getattr(budget, name) for name in BUDGET_LIMITS}
    return {
        "limits": specified | changed,
        "on_limit": budget.on_limit,
        "spent": Spent(stored).as_json(),
    }
