"""`moat metrics`."""

from __future__ import annotations

import sys

import click

from moat.runs.store import Store
from moat.wire.metrics import text


@click.command("metrics")
def command() -> None:
    """Print metrics of all living runs and of the store, as Prometheus reads them (OpenMetrics).

    Supervisors have two seconds to answer, together; of those that don't, moat_run_up is 0, and a line
    says so. For one run: curl --unix-socket $MOAT_HOME/runs/ID/supervisor.sock http://moat/metrics

    \b
    moat metrics >moat.prom.new && mv moat.prom.new /var/lib/node_exporter/moat.prom
    """  # noqa: D301  a backspace tells click not to wrap
    from moat.client.metrics import gather  # noqa: PLC0415  the help needs no threads

    with Store() as store:
        found = gather(store)
    sys.stdout.write(text(found.samples))
    for name in found.silent:
        sys.stderr.write(f"moat: the supervisor of {name} has not answered\n")
