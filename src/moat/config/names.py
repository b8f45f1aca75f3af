"""The names of runs: which are valid, and new ones."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{12}")

_ADJECTIVES: Final = (
    "able bold brave bright brisk calm clear clever cosy daring deft eager early fair fine fleet"
    " frank fresh gentle glad golden good grand green happy hardy honest jolly keen kind lively"
    " lucid lucky merry mild neat nimble noble patient plain proud quick quiet rapid ready sharp"
    " silent sleek smart solid steady still stout sunny swift tidy true vivid warm wise witty"
).split()
_ANIMALS: Final = (
    "badger beaver bison bittern carp cat crane crow deer dove duck eagle eel egret falcon ferret"
    " finch fox frog gecko goose hare hawk heron horse ibis jackdaw kestrel lark lizard lynx magpie"
    " marten mole moose newt otter owl perch pike plover rabbit raven robin rook salmon seal shrew"
    " snipe sparrow squirrel stoat stork swallow swan swift tern toad trout viper wagtail weasel"
    " wolf wren"
).split()


def check_name(name: str) -> str:
    """Return the name, or raise `UsageError` where it isn't valid."""
    if not _NAME.fullmatch(name) or _ID.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a run",
            "Use lower-case letters, digits, '.', '_' and '-', 63 at most (and nothing like an id)",
        )
    return name


def is_id(text: str) -> bool:
    """Tell whether a text has the form of a run's id."""
    return _ID.fullmatch(text) is not None


def new_id() -> str:
    return os.urandom(6).hex()


def new_name(taken: Container[str]) -> str:
    """Return an adjective and an animal, with a number where that name is taken."""
    name = f"{_random(_ADJECTIVES)}-{_random(_ANIMALS)}"
    return name if name not in taken else numbered(name, taken)


def numbered(name: str, taken: Container[str]) -> str:
    """Return the name itself while it is free, then the name with the first free number."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _random(words: Sequence[str]) -> str:
    # Without `secrets` and `random`, which take 5 to 10 ms to import: a name isn't a secret.
    return words[int.from_bytes(os.urandom(4)) % len(words)]
