"""An entry of the registry: a tool, a language or a program, and how it is installed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EntryKind = Literal["tool", "language", "program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A thing that an image may have, by the name that `dependencies:` gives it.

    It is had from the packages of the base image's distribution, and from one of npm or PyPI where the
    entry names one. What the base image has already, in a version that fits, is left as it is.
    """

    id: str
    title: str
    kind: EntryKind
    notes: str = ""
    """Remarks for the user."""
    default: str = ""
    """The version, or its beginning, where none is asked for."""
    check: tuple[str, ...] = ()
    """The command that prints its version, and so proves that it is there (default: ID --version)."""
    works: tuple[str, ...] = ()
    """Other commands that must succeed."""
    requires: tuple[str, ...] = ()
    """Other entries that come with it; a version says which is taken where the user names none."""
    apt: tuple[str, ...] = ()
    """Packages of Debian and Ubuntu."""
    apt_version: tuple[str, ...] = ()
    """The same for a {version} that was asked for, where packages of several versions exist."""
    apk: tuple[str, ...] = ()
    """Packages of Alpine."""
    apk_version: tuple[str, ...] = ()
    pip: str = ""
    """A package of PyPI, which gets a virtual environment of its own."""
    npm: str = ""
    """A package of npm."""
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    """Programs that /usr/local/bin gets, and where they are: below the virtual environment, or absolute.

    An asterisk stands for any part of a name, and {version} for the version that was asked for.
    """
    builtin: bool = True

    @property
    def version_command(self) -> tuple[str, ...]:
        return self.check or (self.id, "--version")

    @property
    def chooses_version(self) -> bool:
        """Tell whether there is a choice of versions, whatever the base image."""
        return bool(self.pip or self.npm)
