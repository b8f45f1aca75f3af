"""Figures, and how they are computed from samples."""

from __future__ import annotations

import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contenders import Place

median = statistics.median


@dataclass(frozen=True)
class Figure:
    what: str
    value: float
    unit: str
    more_is_better: bool = False


def percentile(samples: Sequence[float], rank: int) -> float:
    return statistics.quantiles(samples, n=100)[rank - 1]


def command_seconds(place: Place, *argv: str) -> float:
    """Return the duration of a whole process, which must succeed."""
    started = time.perf_counter()
    subprocess.run(
        argv, cwd=place.work, env=place.environment, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started
