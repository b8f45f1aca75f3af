"""The variables of every command in a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.engines.trust_store import certificates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.spec import RunSpec


def environment(
    spec: RunSpec, own: Mapping[str, str], *, tty: bool, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return all variables; over `own`, the engine's, those of grants and user have precedence."""
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor"} if tty else {}
    if tty and spec.term_program:
        terminal["TERM_PROGRAM"] = spec.term_program
    return {
        "LANG": "C.UTF-8",
        **certificates.variables(),
        **own,
        **terminal,
        **{name: text for grant in spec.grants for name, text in grant.env.items()},
        **spec.env,
        **variables,
        "MOAT_RUN": spec.id,
    }
