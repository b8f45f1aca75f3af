"""Names of published ports below `localhost`: `web.my-run.localhost` is port `web` of the run `my-run`.

Pure. Browsers take every such name to the loopback. Each run is a site of its own to them, since nothing
may be shared across the last label of a name but one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DOMAIN: Final = "localhost"
_NOT_IN_LABELS: Final = re.compile(r"[._-]+")
_USUAL_PORTS: Final = {"http": 80, "https": 443}


class Name(NamedTuple):
    """A host name below `localhost`, taken apart."""

    run: str = ""
    """The label of a run, or its id; empty for `localhost` itself."""
    port: str = ""
    """The name of a port; empty where the host name has none."""


def label(run: str) -> str:
    """Return the name of a run as one label of a host name, which has neither dots nor underscores."""
    return _NOT_IN_LABELS.sub("-", run).strip("-")


def parse(host: str) -> Name | None:
    """Take a canonical host name apart; `None` for one that is no name of a port, a run or the index."""
    rest, _, last = host.rpartition(".")
    if last != DOMAIN:
        return None
    labels = rest.split(".") if rest else []
    match labels:
        case []:
            return Name()
        case [run]:
            return Name(run)
        case [port, run]:
            return Name(run, port)
        case _:
            return None


def is_local(host: str) -> bool:
    """Tell whether a canonical host name is `localhost` or below it."""
    return host == DOMAIN or host.endswith(f".{DOMAIN}")


def url(scheme: str, run: str, port: str, number: int) -> str:
    """Return the URL of a port of a run, with the router listening at this number."""
    return f"{scheme}://{port}.{label(run)}.{DOMAIN}{_suffix(scheme, number)}"


def index_url(scheme: str, number: int) -> str:
    """Return the URL of the list of runs."""
    return f"{scheme}://{DOMAIN}{_suffix(scheme, number)}"


def _suffix(scheme: str, number: int) -> str:
    return "" if number == _USUAL_PORTS[scheme] else f":{number}"
