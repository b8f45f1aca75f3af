"""The table that checks the file of an entry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, get_args

from moat.config.fields import Field
from moat.dependencies.entry import EntryKind
from moat.spec.dependency import Dependency

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+]")
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_PROGRAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PLACE: Final = re.compile(r"/?[A-Za-z0-9_.@+*-]+(/[A-Za-z0-9_.@+*-]+)*")
_VERSION_NAME: Final = "{version}"


def _check_id(text: str) -> None:
    if Dependency.parse(text) != Dependency("", text):
        raise ValueError(f"{text!r} is no name without a kind and a version")


def _check_package(name: str) -> None:
    if not _PACKAGE.fullmatch(name):
        raise ValueError(f"{name!r} is no package of a distribution")


def _check_versioned(name: str) -> None:
    if _VERSION_NAME not in name:
        raise ValueError(f"{name!r} has no {_VERSION_NAME} in it")
    _check_package(name.replace(_VERSION_NAME, "1"))


def _check_npm(name: str) -> None:
    Dependency.parse(f"npm:{name}")


def _check_pip(name: str) -> None:
    Dependency.parse(f"pip:{name}")


def _check_required(text: str) -> None:
    if Dependency.parse(text).kind:
        raise ValueError(f"{text!r} is no entry of the registry")


def _check_version(text: str) -> None:
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text!r} is not a version of numbers, such as 22 or 3.12")


def _check_command(words: str | list[str]) -> None:
    for word in words.split() if isinstance(words, str) else words:
        if not re.fullmatch(r"[A-Za-z0-9._+-]+", word):
            raise ValueError(f"{word!r} is no plain word")


def _check_link(name: str, place: str) -> None:
    if not _PROGRAM.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a program")
    if not _PLACE.fullmatch(place.replace(_VERSION_NAME, "1")) or ".." in place.split("/"):
        raise ValueError(f"{place!r} is no path of a program")


FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("string", "Name of the entry, the same as the file's.", _check_id),
    "title": Field("string", "Name for people."),
    "kind": Field("enum", "What it is; tools are installed first.", choices=get_args(EntryKind)),
    "notes": Field("string", "What a user should know."),
    "default": Field("string", "Version where none is asked for.", _check_version),
    "check": Field("command", "Command that prints its version.", _check_command),
    "works": Field("strings", "Other commands that must succeed.", each=_check_command),
    "requires": Field("strings", "Other entries that come with it.", each=_check_required),
    "apt": Field("strings", "Packages of Debian and Ubuntu.", each=_check_package),
    "apt_version": Field(
        "strings", "The same with a {version} in their names.", each=_check_versioned
    ),
    "apk": Field("strings", "Packages of Alpine.", each=_check_package),
    "apk_version": Field(
        "strings", "The same with a {version} in their names.", each=_check_versioned
    ),
    "pip": Field("string", "Package of PyPI.", _check_pip),
    "npm": Field("string", "Package of npm.", _check_npm),
    "links": Field("map", "Programs for /usr/local/bin, and where they are.", each=_check_link),
}
