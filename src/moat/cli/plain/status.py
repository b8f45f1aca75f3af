"""`moat status`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from moat.cli.output import print_json
from moat.client.store_status import read_status
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.client.store_status import StoreStatus

_ORDER: Final = ("running", "starting", "stopping", "created", "stopped", "failed", "lost")
_UNITS: Final = "kMGTP"


def carry_out(*, as_json: bool = False, everything: bool = False) -> None:
    with Store() as store:
        status = read_status(store, everything=everything)
    if as_json:
        print_json(status.as_json())
    else:
        sys.stdout.write("".join(f"{name + ':':7} {text}\n" for name, text in lines(status)))


def lines(status: StoreStatus) -> Iterator[tuple[str, str]]:
    """Yield what is known of a store, a line for each matter with its name."""
    counted = [f"{status.states[each]} {each}" for each in _ORDER if status.states.get(each)]
    if status.waiting:
        counted.append(f"{status.waiting} wait for you")
    yield "runs", ", ".join(counted) or "none"
    parts = sorted(status.disk.items(), key=lambda part: -part[1])
    least = "" if status.complete else "at least "
    total = f"{least}{size(sum(status.disk.values()))} in {status.home}"
    shown = ", ".join(f"{name} {size(count)}" for name, count in parts if count)
    yield "disk", f"{total} ({shown})" if shown else total
    yield "vault", status.vault
    yield "spare", "ready" if status.spare else "none"
    if status.loose_folders or status.lost_folders:
        loose = f"{status.loose_folders} folders without a run"
        lost = f"{status.lost_folders} runs without a folder"
        yield "amiss", f"{loose}, {lost}: moat prune --orphans"


def size(count: int) -> str:
    """Return a number of bytes as people write it: `1.5G`."""
    amount, unit = float(count), ""
    for each in _UNITS:
        if amount < 999.5:
            break
        amount, unit = amount / 1024, each
    return f"{amount:.1f}{unit}" if unit and amount < 9.95 else f"{amount:.0f}{unit}"
