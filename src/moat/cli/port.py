"""`moat port`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import run_argument
from moat.cli.output import print_json_array
from moat.cli.published import place, ports_of, router_port, the_port, url_of
from moat.config import settings
from moat.paths import moat_home


@click.command("port")
@run_argument(running=True)
@click.argument("port", required=False, metavar="[NAME|PORT]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(run: str | None, port: str | None, *, as_json: bool) -> None:
    """List where the published ports of a run are on this machine, or print where one of them is.

    \b
    moat port                 web 3000/tcp -> 127.0.0.1:40123  http://web.my-run.localhost:8080
    moat port my-run web      127.0.0.1:40123
    """  # noqa: D301  a backspace tells click not to wrap
    name, ports = ports_of(run)
    chosen = ports if port is None else [the_port(name, ports, port)]
    if port is not None and not as_json:
        sys.stdout.write(f"{place(chosen[0])}\n")
        return
    named = [each for each in chosen if not each["name"].isdecimal()]
    home = moat_home()
    router = router_port(home, settings.load(home)) if named else 0
    urls = {each["name"]: url_of(name, each, router) for each in named if router}
    if as_json:
        print_json_array({**each, "routed_url": urls.get(each["name"])} for each in chosen)
        return
    for each in chosen:
        url = f"  {urls[each['name']]}" if each["name"] in urls else ""
        sys.stdout.write(f"{each['name']} {each['port']}/tcp -> {place(each)}{url}\n")
