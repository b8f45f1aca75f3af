"""Checks for container engines, made by `moat doctor`. No run needs one, so nothing fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from moat.engines.container.api import EngineAPI
from moat.engines.container.endpoints import VARIABLES
from moat.engines.container.finding import find
from moat.engines.engine import Check
from moat.errors import EngineError

if TYPE_CHECKING:
    from moat.engines.container.endpoints import EngineName

_DEADLINE_S: Final = 3.0
_NEEDS_ROOT: Final = "Moat enters containers as root; run moat as root to use it"


def checks() -> list[Check]:
    """Say of each engine which socket would be used, why, and what answers there."""
    return [_check("docker"), _check("podman")]


def _check(engine: EngineName) -> Check:
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    try:
        endpoint = find(engine, variables)
        assert endpoint.socket is not None  # noqa: S101  `find` returns no other
        api = EngineAPI(endpoint.socket, engine)
        version: dict[str, Any] = api.call("GET", "/version", deadline=_DEADLINE_S)
    except EngineError as error:
        unasked = error.code == EngineError.code and not any(map(variables.get, VARIABLES[:4]))
        warnings = () if unasked else (f"not usable: {error.summary}",)
        detail = "none here; not needed by bubblewrap" if unasked else "not usable"
        return Check(engine, True, detail, error.hint if warnings else None, warnings)
    detail = (
        f"{version.get('Version', 'of an unknown version')} at {endpoint.socket} ({endpoint.why})"
    )
    warnings = () if os.geteuid() == 0 else (_NEEDS_ROOT,)
    return Check(engine, True, detail, warnings=warnings)
