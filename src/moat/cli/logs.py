"""`moat logs [RUN]`."""

from __future__ import annotations

import click

from moat.cli.arguments import session_argument, session_option
from moat.cli.plain.logs import STREAMS, carry_out


@click.command("logs")
@session_argument()
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with output as it is written.")
@click.option("-n", "--lines", "count", type=click.IntRange(min=0), help="Only the last N lines.")
@click.option("--since", metavar="TIME", help="Only from TIME on: 10m (ago), or an RFC 3339 time.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time (UTC).")
@click.option("--stream", type=click.Choice(list(STREAMS)), help="Only this stream.")
@click.option("--service", metavar="NAME", help="What a service of the run has written instead.")
@session_option
def command(  # noqa: PLR0913  an option each
    run: str | None,
    *,
    follows: bool,
    count: int | None,
    since: str | None,
    timestamps: bool,
    stream: str | None,
    service: str | None,
    session: str | None,
) -> None:
    """Print the output of a run, to the last byte: stderr to stderr, everything else to stdout.

    On a terminal, sequences that would act on the terminal itself (such as its clipboard) are left out.
    """
    carry_out(
        run=run,
        follows=follows,
        count=count,
        since=since,
        timestamps=timestamps,
        stream=stream,
        session=session,
        service=service,
    )
