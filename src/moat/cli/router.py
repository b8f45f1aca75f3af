"""`moat router`."""

from __future__ import annotations

import sys

import click

from moat.cli.output import print_json
from moat.client import router
from moat.config import settings
from moat.errors import MoatError
from moat.paths import moat_home
from moat.ports import router_place
from moat.runs.store import Store


@click.group("router", subcommand_metavar="start | stop | status | ca")
def command() -> None:
    """Start or stop the router, show its state, or print the certificate of its authority.

    It serves the named ports of all runs at http://PORT.RUN.localhost:8080, for you alone. The first run
    with a named port starts it, and it ends some minutes after the last one has. At
    http://localhost:8080 is a list of them.
    """


@command.command("start")
def start() -> None:
    """Start the router, unless it lives, and print its URL. It stays for some minutes without runs."""
    home = moat_home()
    with Store(home):  # makes the store where there is none
        wanted = settings.load(home).router.port
        port = router.ensure(home, wanted)
    if router.status(home) is None:
        raise MoatError("the router ended at once", f"See why: {router_place.log_file(home)}")
    sys.stdout.write(f"http://localhost:{port}\n")
    if wanted not in {0, port}:
        sys.stderr.write(f"moat: it has port {port} already; for {wanted}: moat router stop\n")


@command.command("stop")
def stop() -> None:
    """Stop the router. Runs go on, and their ports are open without names."""
    if not router.stop(moat_home()):
        sys.stderr.write("moat: no router runs\n")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def status(*, as_json: bool) -> int:
    """Say whether the router lives, and where. The exit code is 1 if it doesn't."""
    home = moat_home()
    found = router.status(home)
    if as_json:
        print_json({"running": found is not None, **(found or {})})
    elif found is not None:
        sys.stdout.write(
            f"http://localhost:{found['port']}, published ports: {found['ports']},"
            f" process {found['pid']}, version {found['version']}\n"
        )
        if "error" in found:
            sys.stderr.write(f"moat: the router can't tell its runs: {found['error']}\n")
    else:
        said = "moat router start" if settings.load(home).router.enabled else "it is turned off"
        sys.stderr.write(f"moat: no router runs ({said})\n")
    return 0 if found else 1


@command.command("ca")
def ca() -> None:
    """Print the certificate of the router's authority, for https://PORT.RUN.localhost (see trust-ca)."""
    from moat.router import authority  # noqa: PLC0415  loads slowly

    home = moat_home()
    with Store(home):
        sys.stdout.write(authority.load(home).certificate_pem.decode())
