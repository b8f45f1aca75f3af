"""`moat deps`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from moat.cli.arguments import ListOrCommand
from moat.cli.output import age, print_json, print_json_array, table
from moat.errors import UsageError
from moat.paths import moat_home
from moat.printable import without_controls
from moat.timestamps import text_of

if TYPE_CHECKING:
    from moat.dependencies.entry import Entry
    from moat.engines.container.images import MadeImage

_DISTRIBUTION: Final = "the distribution's"
_MB: Final = 1_000_000


@click.group("deps", cls=ListOrCommand, subcommand_metavar="[list | info | recipe | images]")
def command() -> None:
    """List what runs' images can be made of, show one of these, or the images that were made.

    What a run's image is to have stands in agent.yaml (dependencies:), or on the command line (moat run
    --dep). Besides the names of this list, there are packages of package managers: apt:libpq-dev,
    npm:typescript@5, pip:requests, uv:ruff, cargo:NAME, go:PATH. A file of yours in
    $MOAT_HOME/dependencies adds a name, or replaces one that comes with Moat.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List the names that Moat knows."""
    from moat.dependencies import catalog  # noqa: PLC0415  loads YAML

    known = catalog.ENTRIES.all()
    if as_json:
        print_json_array(_as_dict(each) for each in known)
        return
    rows = [(each.id, each.kind, _versions(each), each.title) for each in known]
    sys.stdout.write(table(("NAME", "KIND", "VERSIONS", "TITLE"), rows))


@command.command("info")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(name: str, *, as_json: bool) -> None:
    """Show what Moat knows of one."""
    from moat.dependencies import catalog  # noqa: PLC0415  as above

    entry = catalog.find(name)
    if as_json:
        print_json(_as_dict(entry))
        return
    rows = (
        ("title", entry.title),
        ("kind", entry.kind),
        ("versions", _versions(entry)),
        ("requires", ", ".join(entry.requires)),
        ("Debian, Ubuntu", ", ".join((*entry.apt, *entry.apt_version))),
        ("Alpine", ", ".join((*entry.apk, *entry.apk_version))),
        ("PyPI", entry.pip),
        ("npm", entry.npm),
        ("verified by", " ".join(entry.version_command)),
        ("notes", entry.notes),
    )
    sys.stdout.write("".join(f"{name + ':':20}{text}\n" for name, text in rows if text))


@command.command("recipe")
@click.argument("names", nargs=-1, required=True, metavar="NAME[@VERSION]...")
@click.option(
    "--image", default="debian:stable-slim", show_default=True, help="The image to start from."
)
def recipe(names: tuple[str, ...], *, image: str) -> None:
    """Print the recipe, a Dockerfile, by which an image gets these."""
    from moat.client.images import recipe_of, steps_of  # noqa: PLC0415  a listing needs none of it
    from moat.config.engine_choice import check_image  # noqa: PLC0415
    from moat.spec.dependency import Dependency  # noqa: PLC0415

    try:
        check_image(image)
        wanted = [Dependency.parse(each) for each in names]
    except ValueError as exc:
        raise UsageError(str(exc), "See: moat deps") from exc
    steps = steps_of(wanted, moat_home())
    sys.stdout.write(recipe_of(image, steps).text)


@command.command("images")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def images(*, as_json: bool) -> None:
    """List the images that were made for this store. moat prune removes those that aren't used."""
    from moat.engines.registry import made_images  # noqa: PLC0415  asks engines

    found = made_images(moat_home())
    if as_json:
        print_json_array(_image(each) for each in found)
        return
    if not found:
        sys.stdout.write("No image was made yet, or its engine is away (moat doctor).\n")
        return
    now = time.time()
    rows = [
        (
            each.engine,
            each.reference,
            f"{each.size // _MB} MB",
            age(_created(each), now),
            without_controls(each.dependencies),
        )
        for each in found
    ]
    sys.stdout.write(table(("ENGINE", "IMAGE", "SIZE", "MADE", "DEPENDENCIES"), rows))


def _versions(entry: Entry) -> str:
    if entry.npm:
        return "any of npm's"
    if entry.pip:
        return f"any of PyPI's ({entry.default})" if entry.default else "any of PyPI's"
    return (
        f"{_DISTRIBUTION}, or its others"
        if entry.apt_version or entry.apk_version
        else _DISTRIBUTION
    )


def _created(image: MadeImage) -> str:
    return text_of(datetime.fromtimestamp(image.created, UTC))


def _image(image: MadeImage) -> dict[str, object]:
    return {
        "engine": image.engine,
        "image": image.reference,
        "bytes": image.size,
        "created_at": _created(image),
        "dependencies": image.dependencies.split(),
    }


def _as_dict(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.id,
        "title": entry.title,
        "kind": entry.kind,
        "default": entry.default,
        "requires": entry.requires,
        "apt": [*entry.apt, *entry.apt_version],
        "apk": [*entry.apk, *entry.apk_version],
        "pip": entry.pip,
        "npm": entry.npm,
        "notes": entry.notes,
        "own": not entry.builtin,
    }
