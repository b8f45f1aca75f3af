"""Catalogs: things of one kind, each described by a YAML file.

Some come with Moat; the user's own lie in a folder of the store, and win over those of the same name.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from moat.config.document import read
from moat.errors import UsageError
from moat.paths import moat_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from moat.config.fields import Field


class Described(Protocol):
    """A thing described by a file of a catalog."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Described)


@dataclass(frozen=True)
class Catalog(Generic[T]):
    """All things of one kind."""

    kind: str
    """The word for one of the things, as messages say it."""
    shipped: Path
    """The folder with those that come with Moat."""
    folder: str
    """The name of the folder with the user's own, in the store."""
    fields: Mapping[str, Field]
    required: tuple[str, ...]
    page: str
    """The page that explains the fields."""
    listing: str
    """The command that lists them."""
    make: Callable[[dict[str, Any], bool], T]
    """Makes one of the checked content of its file, and of whether it comes with Moat.

    Raises `ValueError`.
    """
    aliases: Callable[[T], Iterable[str]] = lambda _: ()
    """Returns the other names of one."""

    def all(self, home: Path | None = None) -> tuple[T, ...]:
        """Return all of them by name. Raises `UsageError` for a file of the user's that isn't valid.

        `home`: the store, if it isn't the usual one.
        """
        own = (home or moat_home()) / self.folder
        found = {path.stem: path for each in (self.shipped, own) for path in each.glob("*.yaml")}
        return tuple(self._loaded(path) for _, path in sorted(found.items()))

    def get(self, name: str, home: Path | None = None) -> T | None:
        """Return the one of that name, having read no file but its own. Raises `UsageError`."""
        path = self.path_of(name, home)
        return None if path is None else self._loaded(path)

    def find(self, name: str, home: Path | None = None) -> T:
        """Return the one of that name or alias. Raises `UsageError`.

        `home`: the store, if it isn't the usual one.
        """
        if (found := self.get(name, home)) is not None:
            return found
        known = {each.id: each for each in self.all(home)}
        aliases = {alias: each for each in known.values() for alias in self.aliases(each)}
        if name in aliases:
            return aliases[name]
        raise self._unknown(name, [*known, *aliases])

    def path_of(self, name: str, home: Path | None = None) -> Path | None:
        """Return the file of one: the user's own, or else the one that comes with Moat."""
        if "/" in name or name.startswith("."):
            return None
        places = ((home or moat_home()) / self.folder, self.shipped)
        return next((path for each in places if (path := each / f"{name}.yaml").is_file()), None)

    def _unknown(self, name: str, known: list[str]) -> UsageError:
        """Return the error that says that there is none of that name."""
        near = difflib.get_close_matches(name, known, 1)
        return UsageError(
            f"there is no {self.kind} {name!r}",
            f"Did you mean {near[0]}?" if near else f"See: {self.listing}",
        )

    def load(self, path: Path) -> T:
        """Read a file. Raises `UsageError` with file and line."""
        content = read(path, self.fields)
        hint = f"See {self.page}"
        for name in self.required:
            if not content.get(name):
                raise UsageError(f"{path}: {name} is missing", hint)
        if content["id"] != path.stem:
            raise UsageError(
                f"{path}: its id is {content['id']!r}", f"Name it {content['id']}.yaml"
            )
        try:
            return self.make(content, path.parent == self.shipped)
        except ValueError as exc:
            raise UsageError(f"{path}: {exc}", hint) from exc

    @cached_property
    def _loaded(self) -> Callable[[Path], T]:
        return lru_cache(maxsize=None)(self.load)
