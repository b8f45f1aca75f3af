"""The choice between the workspace itself and a copy of it, for a run to work on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from moat.config.fields import Effect, Field
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from moat.runs.store import Store
    from moat.spec import RunSpec

FIELD: Final = Field(
    "object",
    "The folder that runs work on.",
    fields={
        "mode": Field(
            "enum",
            "`bind`: the project's folder itself. `copy`: a copy of it for each run (see moat apply). Of"
            " agent.yaml and config.yaml, one that says `copy` is enough.",
            choices=("bind", "copy"),
            effect=Effect.NARROWS,
        )
    },
)


class WorkspaceCopier(Protocol):
    """Copies workspaces."""

    def place(self, run_id: str) -> str:
        """Return the path of a run's copy."""
        ...

    def fill(self, spec: RunSpec) -> None:
        """Make the copy that a specification names, once the run has a folder. Raises `MoatError`."""
        ...


def place_of_copy(
    asked: bool | None,
    files: tuple[Mapping[str, Any], ...],
    copier: WorkspaceCopier | None,
    run_id: str,
) -> str:
    """Return the path of a run's copy; empty for a run that works on the workspace itself.

    `files` are the sections `workspace` of the user's settings and of the project's file.
    """
    said = any(each.get("mode") == "copy" for each in files)
    if asked is False or not (asked or said):
        return ""
    if copier is None:
        raise UsageError("this program can't copy workspaces", "Start the run with moat run")
    return copier.place(run_id)


class NewRun:
    """A run that is being added to the store, its copy of the workspace included; a context manager.

    Nothing of it is left where this is left by an exception.
    """

    def __init__(self, store: Store, copier: WorkspaceCopier | None) -> None:
        self._store = store
        self._copier = copier
        self._begun = False
        self._making = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._making.__exit__(kind, error, trace)

    def begin(self, spec: RunSpec) -> None:
        """Make the run's folder and its copy of the workspace, once."""
        if self._begun:
            return
        self._begun = True
        self._making.enter_context(self._store.begin(spec))
        if spec.copy and self._copier is not None:
            self._copier.fill(spec)

    def add(self, spec: RunSpec) -> None:
        """Add the run. After a `NameTakenError` it can be called again, with another name."""
        self.begin(spec)
        self._store.add(spec)
