"""`moat port`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import run_argument
from moat.cli.output import print_json_array
from moat.cli.published import place, ports_of, the_port


@click.command("port")
@run_argument(running=True)
@click.argument("port", required=False, metavar="[NAME|PORT]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(run: str | None, port: str | None, *, as_json: bool) -> None:
    """List where the published ports of a run are on this machine, or print where one of them is.

    \b
    moat port                 web 3000/tcp -> 127.0.0.1:40123
    moat port my-run web      127.0.0.1:40123
    """  # noqa: D301  a backspace tells click not to wrap
    name, ports = ports_of(run)
    chosen = ports if port is None else [the_port(name, ports, port)]
    if as_json:
        print_json_array(chosen)
    elif port is not None:
        sys.stdout.write(f"{place(chosen[0])}\n")
    else:
        for each in chosen:
            sys.stdout.write(f"{each['name']} {each['port']}/tcp -> {place(each)}\n")
