"""Images for runs with dependencies: found where they exist, and made where they don't."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from moat.dependencies import catalog
from moat.dependencies.plan import plan, title
from moat.dependencies.recipe import Recipe
from moat.engines.container import images
from moat.engines.container.build import BuildFailedError, BuildOrder, build
from moat.engines.container.build_output import StepBegun
from moat.engines.container.endpoints import VARIABLES
from moat.engines.container.finding import connect, require_root
from moat.errors import EngineError, UsageError
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from moat.config.run_image import ImageRequest
    from moat.dependencies.plan import Step
    from moat.engines.container.api import EngineAPI
    from moat.engines.container.build_output import Event
    from moat.engines.container.endpoints import EngineName
    from moat.spec.dependency import Dependency

_INSTALL: Final = Path(catalog.__file__).with_name("install.sh")
_LOCK: Final = "images.lock"


class Progress(Protocol):
    """The one who is told how a build goes."""

    def waits(self) -> None:
        """Another build of this store is being waited for."""
        ...

    def begins(self, titles: Sequence[str]) -> None:
        """An image is made by these steps."""
        ...

    def step(self, number: int) -> None:
        """A step begins; the first is 0."""
        ...

    def line(self, text: str) -> None:
        """The step has written a line, harmless for a terminal."""
        ...

    def fails(self, last_lines: Sequence[str]) -> None:
        """The step has failed, and these are its last lines."""
        ...

    def ends(self) -> None:
        """Nothing follows, whatever has happened."""
        ...


class RunImages:
    """The images of a store. Implements `config.run_image.ImageMaker`."""

    def __init__(self, home: Path, progress: Progress | None = None) -> None:
        """`home` is the store."""
        self._home = home
        self._progress = progress

    def __call__(self, request: ImageRequest) -> str:
        steps = steps_of(request.dependencies, self._home)  # a mistake needs no engine to be found
        require_root(request.engine)
        engine: EngineName = "podman" if request.engine == "podman" else "docker"
        variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        api = connect(engine, variables)
        recipe = recipe_of(_base(api, request.base), steps, request.authorities)
        reference = images.reference_of(recipe.name)
        if request.rebuild or images.inspect(api, reference) is None:
            with self._alone():
                # Another process may have made it while this one waited.
                if request.rebuild or images.inspect(api, reference) is None:
                    self._make(api, request, recipe)
        return reference

    def _make(self, api: EngineAPI, request: ImageRequest, recipe: Recipe) -> None:
        reference = images.reference_of(recipe.name)
        before = images.inspect(api, reference)
        names = " ".join(sorted(map(str, request.dependencies)))
        order = BuildOrder(
            reference=reference,
            archive=recipe.context(),
            labels=images.labels(self._home, recipe.name, names),
            network=request.network,
            proxy=request.proxy,
            anew=request.rebuild,
        )
        _build(api, order, recipe, self._progress)
        after = images.inspect(api, reference)
        if after is None:
            raise EngineError(
                f"{api.name} has built {reference} and doesn't have it", "start the run again"
            )
        if before is not None and before["Id"] != after["Id"]:
            images.remove_replaced(api, before["Id"])

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Wait until no other process builds for this store."""
        path = self._home / _LOCK
        held = lock.try_lock(path)
        if held is None:
            if self._progress is not None:
                self._progress.waits()
            with lock.locked(path):
                yield
            return
        try:
            yield
        finally:
            os.close(held)


def steps_of(dependencies: Sequence[Dependency], home: Path) -> tuple[Step, ...]:
    """Return the steps that install these. Raises `UsageError` for one that isn't known."""
    return plan(dependencies, lambda name: catalog.find(name, home))


def recipe_of(base: str, steps: tuple[Step, ...], authorities: str = "") -> Recipe:
    """Return the recipe by which these steps are added to a base image."""
    return Recipe(base, steps, _INSTALL.read_bytes(), authorities)


def _base(api: EngineAPI, reference: str) -> str:
    """Return the id of the base image, without the name of its hash. Raises `MoatError`."""
    found = images.inspect(api, reference)
    if found is None:
        raise UsageError(
            f"{api.name} has no image {reference} to add the dependencies to",
            f"Get it: {api.name} pull {reference}; or name another: base_image: in agent.yaml, or"
            " build.base_image in config.yaml",
        )
    return str(found["Id"]).rpartition(":")[2]


def _build(api: EngineAPI, order: BuildOrder, recipe: Recipe, progress: Progress | None) -> None:
    if progress is None:
        build(api, order, lambda _: None)
        return

    def show(event: Event) -> None:
        if not isinstance(event, StepBegun):
            progress.line(event.text)
        elif 0 <= (number := event.number - recipe.lines_before) < len(recipe.steps):
            progress.step(number)

    try:
        progress.begins([title(each) for each in recipe.steps])
        build(api, order, show)
    except BuildFailedError as error:
        progress.fails(error.last_lines)
        raise
    finally:
        progress.ends()
