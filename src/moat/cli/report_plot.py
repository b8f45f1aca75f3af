"""A sum over time as a picture in SVG, for a page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 800
HEIGHT: Final = 160
_LEFT, _TOP, _BOTTOM = 4, 14, 16
"""Room for the labels."""
MOST_STEPS: Final = 400
"""Steps that are drawn; those between them couldn't be seen."""

Point = tuple[float, int]
"""A time in seconds, and what is added then."""


def sums(points: Sequence[Point]) -> list[tuple[float, int]]:
    """Return the times with all that was added by then, in the order of time, no more than are drawn."""
    total = 0
    found: list[tuple[float, int]] = []
    for at, amount in sorted(points):
        total += amount
        found.append((at, total))
    step = -(-len(found) // MOST_STEPS) or 1
    thinned = found[::step]
    if found and thinned[-1] != found[-1]:
        thinned.append(found[-1])
    return thinned


def plot(points: Sequence[Point], start: float, end: float, unit: str) -> str:
    """Return the picture of a sum that grows from `start` to `end`; `unit` is what is added.

    Empty where nothing is added.
    """
    steps = sums(points)
    if not steps:
        return ""
    most = steps[-1][1] or 1
    span = max(end, steps[-1][0]) - min(start, steps[0][0]) or 1.0
    first = min(start, steps[0][0])
    room = HEIGHT - _TOP - _BOTTOM

    def place(at: float, total: int) -> str:
        across = _LEFT + (at - first) / span * (WIDTH - 2 * _LEFT)
        return f"{across:.1f},{_TOP + room - total / most * room:.1f}"

    corners = [place(first, 0)]
    before = 0
    for at, total in steps:
        corners += [place(at, before), place(at, total)]
        before = total
    corners.append(place(first + span, before))
    label = f"{steps[-1][1]:,} {unit}"
    base = HEIGHT - _BOTTOM
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label} over time">'
        f'<path class="area" d="M{" L".join(corners)} L{WIDTH - _LEFT},{base} L{_LEFT},{base} Z"/>'
        f'<polyline points="{" ".join(corners)}"/>'
        f'<line x1="{_LEFT}" y1="{base}" x2="{WIDTH - _LEFT}" y2="{base}"/>'
        f'<text x="{_LEFT}" y="{_TOP - 4}">{label}</text>'
        f'<text x="{_LEFT}" y="{HEIGHT - 3}">0 s</text>'
        f'<text x="{WIDTH - _LEFT}" y="{HEIGHT - 3}" text-anchor="end">{span:,.0f} s</text></svg>'
    )
