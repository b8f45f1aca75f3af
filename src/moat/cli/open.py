"""`moat open`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import run_argument
from moat.cli.published import ports_of, router_port, the_port, url_of
from moat.config import settings
from moat.errors import MoatError
from moat.paths import moat_home


@click.command("open")
@run_argument(running=True)
@click.argument("port", required=False, metavar="[NAME]")
@click.option("--print", "prints", is_flag=True, help="Print the URL instead.")
def command(run: str | None, port: str | None, *, prints: bool) -> None:
    """Open a published port of a run (default: the newest, and its only port) in the browser.

    $BROWSER says which; without it, the desktop does. A page of a run is a stranger's page: give it no
    password that the run should not know.
    """
    name, ports = ports_of(run)
    chosen = the_port(name, ports, port)
    home = moat_home()
    router = 0 if chosen["name"].isdecimal() else router_port(home, settings.load(home))
    url = url_of(name, chosen, router)
    if prints:
        sys.stdout.write(f"{url}\n")
        return
    from moat.ground.browser import open_page  # noqa: PLC0415  starts programs

    if not open_page(url):
        raise MoatError("there is no browser here", f"Open it yourself: {url}")
    sys.stderr.write(f"moat: opened {url}\n")
