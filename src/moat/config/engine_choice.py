"""The engine of a run, and what the ones with containers are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from moat.errors import UsageError
from moat.spec import Container

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUBBLEWRAP: Final = "bubblewrap"
_WITH_CONTAINERS: Final = ("docker", "podman")
_VARIABLES: Final = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST", "XDG_RUNTIME_DIR"),
)


def check_image(reference: str) -> None:
    """Check the reference of an image. Raises `ValueError`."""
    if not reference or not all(each.isalnum() or each in "._-/:@" for each in reference):
        raise ValueError(f"{reference!r} is no reference of an image, such as debian:stable")


def engine_of(asked: str | None, image: str) -> str:
    """Return the engine that the user has asked for, or one that can do what is. Raises `UsageError`."""
    name = asked or (_WITH_CONTAINERS[0] if image else _BUBBLEWRAP)
    if name not in {_BUBBLEWRAP, *_WITH_CONTAINERS}:
        raise UsageError(
            f"there is no engine {name!r}", "This version has bubblewrap, docker and podman"
        )
    if name == _BUBBLEWRAP and image:
        raise UsageError(
            f"bubblewrap makes no container from an image ({image})",
            "Leave out the image (--image, base_image), or: --engine docker",
        )
    return name


def container_section(image: str, environment: Mapping[str, str] = os.environ) -> Container:
    """Return what the engine has to know of the user's choice."""
    known = {name: environment[name] for name in _VARIABLES if environment.get(name)}
    return Container(image=image, variables=known)
