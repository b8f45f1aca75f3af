"""The table that checks the file of an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.config.fields import Field, check_absolute
from moat.config.services import (
    READY,
    check_image_name,
    check_kind,
    check_port,
    check_variable,
    check_version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def _check_file(path: str, _: str) -> None:
    check_absolute(path)


FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("string", "Name of the entry, the same as the file's.", check_kind),
    "title": Field("string", "Name for people."),
    "image": Field("string", "Its image, without a tag.", check_image_name),
    "default": Field("string", "Version where none is asked for.", check_version),
    "notes": Field("string", "What a user should know."),
    "ports": Field("strings", "Its TCP ports, the main one first.", each=check_port),
    "env": Field("map", "Variables of its container.", each=check_variable),
    "command": Field("command", "Arguments of the image's entrypoint."),
    "files": Field("map", "Read-only files of its container, by path.", each=_check_file),
    "data": Field("string", "Folder in which it keeps its data.", check_absolute),
    "variables": Field(
        "map", "What the run's commands get as MOAT_NAME_VARIABLE.", each=check_variable
    ),
    "ready": Field("object", "The sign by which it is known to be ready.", fields=READY),
}
