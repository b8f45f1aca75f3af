"""The difference between two texts, by lines. Pure.

Myers' algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986), as git uses it. A hostile
run can write files whose difference takes for ever to compute, so the work is bounded: beyond the bound,
all that lies between the first and the last difference counts as replaced. That is longer, but as true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CONTEXT: Final = 3
# About a second of work, and the number of lines removed and added that is still worth a search.
_MAX_STEPS: Final = 2_000_000
_MAX_EDITS: Final = 1_000

_Range = tuple[int, int, int, int]
"""Lines of the old text, from and to, that lines of the new text, from and to, replace."""


def unified(old: bytes, new: bytes) -> Iterator[bytes]:
    """Yield the lines of a unified diff's hunks, each with its end."""
    before, after = _lines(old), _lines(new)
    for group in _grouped(_changed(before, after)):
        yield from _hunk(before, after, group)


def _lines(text: bytes) -> list[bytes]:
    # `splitlines` would take other characters for ends of lines, too.
    lines = text.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _changed(before: Sequence[bytes], after: Sequence[bytes]) -> list[_Range]:
    start, end_before, end_after = 0, len(before), len(after)
    while start < min(end_before, end_after) and before[start] == after[start]:
        start += 1
    while min(end_before, end_after) > start and before[end_before - 1] == after[end_after - 1]:
        end_before -= 1
        end_after -= 1
    if start == end_before == end_after:
        return []
    numbers: dict[bytes, int] = {}
    middle = [
        [numbers.setdefault(line, len(numbers)) for line in lines[start:end]]
        for lines, end in ((before, end_before), (after, end_after))
    ]
    found = _myers(*middle)
    if found is None:
        return [(start, end_before, start, end_after)]
    return [(a + start, b + start, c + start, d + start) for a, b, c, d in found]


def _myers(a: list[int], b: list[int]) -> list[_Range] | None:
    """Return what has changed, or `None` if the bound was reached."""
    furthest: dict[int, int] = {1: 0}
    trace: list[dict[int, int]] = []
    steps = 0
    for edits in range(min(len(a) + len(b), _MAX_EDITS) + 1):
        trace.append(furthest.copy())
        for diagonal in range(-edits, edits + 1, 2):
            x = begun = _step(furthest, diagonal, edits)
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x += 1
                y += 1
            furthest[diagonal] = x
            steps += 1 + x - begun
            if x >= len(a) and y >= len(b):
                return _backtrack(trace, len(a), len(b))
        if steps > _MAX_STEPS:
            return None
    return None


def _step(furthest: dict[int, int], diagonal: int, edits: int) -> int:
    down = diagonal == -edits or (
        diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
    )
    return furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1


def _backtrack(trace: list[dict[int, int]], x: int, y: int) -> list[_Range]:
    ranges: list[_Range] = []
    for edits in range(len(trace) - 1, 0, -1):
        furthest, diagonal = trace[edits], x - y
        down = diagonal == -edits or (
            diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
        )
        previous = diagonal + 1 if down else diagonal - 1
        from_x = furthest[previous]
        from_y = from_x - previous
        to_x, to_y = (from_x, from_y + 1) if down else (from_x + 1, from_y)
        if ranges and ranges[-1][0] == to_x and ranges[-1][2] == to_y:
            _, end_x, _, end_y = ranges.pop()
            ranges.append((from_x, end_x, from_y, end_y))
        else:
            ranges.append((from_x, to_x, from_y, to_y))
        x, y = from_x, from_y
    return ranges[::-1]


def _grouped(ranges: list[_Range]) -> Iterator[list[_Range]]:
    """Yield the ranges of each hunk: those with less than two contexts between them."""
    group: list[_Range] = []
    for each in ranges:
        if group and each[0] - group[-1][1] > 2 * _CONTEXT:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _hunk(before: Sequence[bytes], after: Sequence[bytes], group: list[_Range]) -> Iterator[bytes]:
    lead = min(_CONTEXT, group[0][0])
    trail = min(_CONTEXT, len(before) - group[-1][1])
    old = _span(group[0][0] - lead, group[-1][1] + trail)
    new = _span(group[0][2] - lead, group[-1][3] + trail)
    yield f"@@ -{old} +{new} @@\n".encode()
    position = group[0][0] - lead
    for start, end, new_start, new_end in group:
        yield from _marked(b" ", before[position:start])
        yield from _marked(b"-", before[start:end])
        yield from _marked(b"+", after[new_start:new_end])
        position = end
    yield from _marked(b" ", before[position : position + trail])


def _span(start: int, end: int) -> str:
    # An empty range is named by the line before it.
    first = start if start == end else start + 1
    return str(first) if end - start == 1 else f"{first},{end - start}"


def _marked(mark: bytes, lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"
