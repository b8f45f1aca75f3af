"""An image that is made for a run: what the user and the project want in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from moat.config.build_fields import DEFAULT_BASE
from moat.config.engine_choice import engine_of
from moat.errors import UsageError
from moat.spec.dependency import Dependency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.config.settings import Settings


class ImageRequest(NamedTuple):
    """An image that a run needs, and that may have to be made."""

    engine: str
    base: str
    """The reference of the base image."""
    dependencies: tuple[Dependency, ...]
    network: str = ""
    """`host`, or empty for what the engine gives."""
    proxy: str = ""
    authorities: str = ""
    """Certificates, in PEM, of authorities that the build trusts in addition."""
    rebuild: bool = False
    """Make it anew, whether or not there is one."""


class ImageMaker(Protocol):
    """The one who makes images."""

    def __call__(self, request: ImageRequest) -> str:
        """Return the reference of the image, which exists by then. Raises `MoatError`."""
        ...


class ImageOptions(Protocol):
    """The options of the command line that decide on the image; see `config.compile.RunOptions`."""

    @property
    def engine(self) -> str | None: ...
    @property
    def image(self) -> str | None: ...
    @property
    def services(self) -> tuple[str, ...]: ...
    @property
    def dependencies(self) -> tuple[str, ...]: ...
    @property
    def rebuild(self) -> bool: ...


def base_image(options: ImageOptions, settings: Settings, file: Mapping[str, Any]) -> str:
    """Return the image that a run is made from, before its dependencies; empty where it has none.

    Dependencies and services need a container, and so an image.

    `file` is the content of the project's.
    """
    named: str = options.image or file.get("base_image", "")
    wanted = (*options.dependencies, *options.services, *settings.services)
    if named or not (wanted or file.get("dependencies") or file.get("services")):
        return named
    return settings.build.get("base_image", DEFAULT_BASE)


def image_request(
    options: ImageOptions, settings: Settings, file: Mapping[str, Any]
) -> ImageRequest | None:
    """Return the request for a run's image; `None` where there is nothing to make.

    Raises `UsageError`.
    """
    wanted = tuple(map(_dependency, (*file.get("dependencies", ()), *options.dependencies)))
    if not wanted:
        if options.rebuild:
            raise UsageError("there are no dependencies to make an image of", "Leave out --rebuild")
        return None
    if options.engine == "bubblewrap":
        raise UsageError(
            f"bubblewrap installs no dependencies ({', '.join(map(str, wanted))})",
            "It shows this machine's own programs. Leave them out (--dep, dependencies:), or:"
            " --engine docker",
        )
    base = base_image(options, settings, file)
    authorities = settings.network.get("upstream_ca")
    return ImageRequest(
        engine=engine_of(options.engine, base),
        base=base,
        dependencies=wanted,
        network="host" if settings.build.get("network") == "host" else "",
        proxy=settings.build.get("proxy", ""),
        authorities=authorities.pem if authorities else "",
        rebuild=options.rebuild,
    )


def made_image(request: ImageRequest, images: ImageMaker | None) -> str:
    """Return the image that was asked for. Raises `MoatError`."""
    if images is None:
        raise UsageError("this program can't make images", "Start the run with moat run")
    return images(request)


def _dependency(text: str) -> Dependency:
    try:
        return Dependency.parse(text)
    except ValueError as exc:
        raise UsageError(str(exc), "See: moat deps") from exc
