"""The build of an image by an engine, with its output as it comes.

The engine runs the steps in containers of its own, as `docker build` would: with its network, as root,
and outside of all that Moat promises of a run. They get the archive of the recipe and nothing else of
this machine. The classic builder of `POST /build` is what Docker and Podman have in common (ADR 44).
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from moat.engines.container.build_output import BuildOutput
from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moat.engines.container.api import EngineAPI
    from moat.engines.container.build_output import Event

PATIENCE_S: Final = 600.0
"""The time for which a step may write nothing; compilers of large packages are silent for long."""
_OWN: Final = "moat: "
"""The beginning of the line by which `install.sh` says why it has failed."""


class BuildFailedError(EngineError):
    """A step of a recipe has failed."""

    code = "build_failed"

    def __init__(self, summary: str, hint: str, last_lines: tuple[str, ...]) -> None:
        super().__init__(summary, hint)
        self.last_lines = last_lines
        """The last lines that the step has written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """An image that an engine is to build."""

    reference: str
    archive: bytes
    """The tar archive with the Dockerfile and its files."""
    labels: Mapping[str, str]
    network: str = ""
    """The steps' network, as `docker build --network` has it; empty for the engine's own."""
    proxy: str = ""
    """URL of the proxy that the steps use; it isn't kept in the image."""
    anew: bool = False
    """No layer of an earlier build is used."""


def build(
    api: EngineAPI, order: BuildOrder, show: Callable[[Event], None], patience: float = PATIENCE_S
) -> None:
    """Build an image, and return once it has its name. Raises `EngineError`.

    Whatever ends this early, an interrupt too, ends the build: its container is removed.
    """
    output = BuildOutput()
    with closing(api.send(_path(order), order.archive, patience=patience)) as answer:
        try:
            for data in answer:
                for event in output.feed(data):
                    show(event)
        except ValueError as exc:
            raise EngineError(
                f"the build can't be followed: {exc}", "see what the engine says: moat doctor"
            ) from exc
    if output.error:
        raise _failure(output)


def _path(order: BuildOrder) -> str:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    proxies = dict.fromkeys(names, order.proxy) if order.proxy else {}
    query = {
        "t": order.reference,
        "labels": json.dumps(dict(order.labels)),
        "rm": "true",
        "forcerm": "true",
        "buildargs": json.dumps(proxies),
        **({"networkmode": order.network} if order.network else {}),
        **({"nocache": "true"} if order.anew else {}),
    }
    return f"/build?{urlencode(query)}"


def _failure(output: BuildOutput) -> BuildFailedError:
    lines = tuple(output.last_lines)
    own = next((each for each in reversed(lines) if each.startswith(_OWN)), "")
    if own:
        reason = own.removeprefix(_OWN)
        lines = tuple(each for each in lines if each != own)
    else:
        reason = output.error
    return BuildFailedError(
        f"the image can't be made: {reason}",
        "change dependencies: (moat deps), or try again; layers that are done are kept",
        lines,
    )
