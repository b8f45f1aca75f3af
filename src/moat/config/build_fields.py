"""The section `build` of the settings: how images are made of dependencies. Pure."""

from __future__ import annotations

import re
from typing import Final

from moat.config.engine_choice import check_image
from moat.config.fields import Field

DEFAULT_BASE: Final = "debian:stable-slim"
# A password in it would be a secret that a build is given.
_PROXY: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?/?")


def _check_proxy(url: str) -> None:
    if not _PROXY.fullmatch(url):
        raise ValueError(f"{url!r} is not like http://proxy.example.com:3128, without a password")


FIELD: Final = Field(
    "object",
    "How images are made of `dependencies` (see dependencies.md).",
    fields={
        "base_image": Field(
            "string",
            f"Image to start from where none is named ({DEFAULT_BASE}).",
            check_image,
        ),
        "network": Field(
            "enum",
            "Network of a build's steps: the one that the engine gives them, or this machine's own.",
            choices=("engine", "host"),
        ),
        "proxy": Field(
            "string", "HTTP proxy for a build's steps; it isn't kept in the image.", _check_proxy
        ),
    },
)
