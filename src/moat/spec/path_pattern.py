"""Patterns for paths, as rules have them: `*` is one segment or a part of one, `**` any number. Pure.

A pattern matches in time linear to the path, because a hostile program writes the path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.spec import request_path
from moat.spec.path_skeleton import skeleton_of_rule

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEGMENTS: Final = r"(?:/[^/]*+)*"


def compile_path_pattern(text: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Return an expression for the normalized paths (`request_path`) that `text` means.

    Raises `ValueError` where servers may understand a path without wildcards in different ways.
    """
    paths, unambiguous = request_path.interpretations_of_rule(text)
    if not unambiguous and "*" not in text:
        raise ValueError(f"path {text!r} can be understood in more than one way")
    return _compile(paths, re.IGNORECASE if ignore_case else 0)


def compile_skeleton_pattern(text: str) -> re.Pattern[str]:
    """Return an expression for the skeletons (`path_skeleton`) of the paths that `text` means."""
    return _compile(map(skeleton_of_rule, request_path.interpretations_of_rule(text).paths))


def _compile(paths: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    patterns = [_pattern(each.split("/")[1:]) for each in dict.fromkeys(paths)]
    return re.compile("|".join(patterns), re.DOTALL | flags)


def _pattern(segments: list[str]) -> str:
    """Translate the segments of a path.

    The text between two wildcards may be taken where it first occurs, once and for all (atomic groups):
    if the rest doesn't match behind that place, it matches nowhere later either.
    """
    runs: list[str] = [""]
    for segment in segments:
        if segment == "**":
            runs.append("")
        else:
            runs[-1] += "/" + _segment(segment)
    first, *between = runs
    if not between:
        return first
    last = between.pop()
    middle = "".join(rf"(?>{_SEGMENTS}?{run}(?=/|\Z))" for run in between if run)
    return first + middle + _SEGMENTS + last


def _segment(text: str) -> str:
    first, *between = (re.escape(each) for each in text.split("*"))
    if not between:
        return first
    last = between.pop()
    return first + "".join(f"(?>[^/]*?{each})" for each in between) + "[^/]*" + last
