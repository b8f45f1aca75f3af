"""Secrets of a run, which are looked up before it exists, and which no file of the run has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from moat.spec import RunSpec


class SecretKeeper(Protocol):
    """Looks up the secrets of a run, which no file of the run has, and keeps them while it lives."""

    def keep(self, spec: RunSpec, references: Mapping[str, str]) -> None:
        """Look up all, or raise `MoatError` and keep none."""
        ...

    def forget(self, run_id: str) -> None: ...


@contextmanager
def keeping(
    keeper: SecretKeeper | None, spec: RunSpec, references: Mapping[str, str]
) -> Generator[None]:
    """Keep the secrets of a run, unless what is done meanwhile fails."""
    if not references:
        yield
        return
    if keeper is None:
        raise UsageError("this program can't look up secrets", "Start the run with moat run")
    keeper.keep(spec, references)
    try:
        yield
    except BaseException:
        keeper.forget(spec.id)
        raise
