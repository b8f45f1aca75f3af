"""`telemetry` in the user's settings: where spans of runs are sent.

A project's file has no such field: what a run does is told to nobody but whom its user names.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from moat.config import secret_references
from moat.config.fields import Field

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


def _check_endpoint(text: str) -> None:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(f"{text[:80]!r} is no URL of a collector, such as http://localhost:4318")
    if url.username is not None or url.password is not None:
        raise ValueError("a password has no place in the URL: give it as a header")


def _check_header(name: str, text: str) -> None:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is not the name of a header")
    secret_references.parse(text)


FIELD: Final = Field(
    "object",
    "Where spans of runs are sent as they happen; see docs/telemetry.md.",
    fields={
        "otlp": Field(
            "object",
            "An OpenTelemetry collector, which is spoken to by OTLP over HTTP (`moat[otlp]`).",
            fields={
                "endpoint": Field(
                    "string", "Its URL, like http://localhost:4318.", _check_endpoint
                ),
                "headers": Field(
                    "map",
                    "Headers of each request, with references to their values (see `secrets`).",
                    each=_check_header,
                ),
            },
        )
    },
)
