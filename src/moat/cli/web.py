"""`moat web`."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

from moat.paths import moat_home
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.web.access import Access


@click.command("web")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The port of the page (default: one that is free).",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=True,
    help="Open the page in the browser, or don't (default: open, where there is one).",
)
@click.option("--read-only", is_flag=True, help="Watch only: pages neither type nor answer.")
def command(*, port: int, opens: bool, read_only: bool) -> None:
    """Serve a page with all runs: their terminals, their networks, and what they ask.

    The page is at a name of this machine's own that nobody can guess, for you alone. The address that is
    printed has the page's secret behind the #: who has the address has the runs.

    The server stays in the foreground. Ctrl-C ends it; runs go on.
    """
    home = moat_home()
    with Store(home):  # makes the store where there is none
        pass

    def listens(access: Access) -> None:
        sys.stdout.write(f"{access.url}\n")
        sys.stdout.flush()
        sys.stderr.write("moat: serving until Ctrl-C\n")
        if opens:
            from moat.ground.browser import open_page  # noqa: PLC0415  starts programs

            # Some openers last as long as the browser.
            url = access.one_time_url()
            threading.Thread(target=open_page, args=(url,), daemon=True).start()

    from moat.web import main  # noqa: PLC0415  not for --help

    main.run(home, port, read_only=read_only, listens=listens)
