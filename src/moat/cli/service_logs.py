"""`moat logs --service NAME`."""

from __future__ import annotations

from moat.cli.found import find
from moat.client.display.output import STDOUT, ProgramOutput
from moat.engines import registry
from moat.errors import UsageError
from moat.runs.store import Store


def print_service_log(run: str | None, service: str, count: int | None) -> None:
    """Print the last lines of what a service of a run has written. Raises `MoatError`."""
    with Store() as store:
        found = find(store, run)
        spec = store.spec(found.id)
        known = [each.name for each in spec.services]
        if service not in known:
            has = f"It has: {', '.join(known)}" if known else "It has none: moat run --service"
            raise UsageError(f"the run {found.name} has no service {service!r}", has)
        content = registry.service_log(spec, store.folder(found.id), service)
    lines = content.splitlines(keepends=True)
    if count is not None:
        lines = lines[len(lines) - min(count, len(lines)) :]
    with ProgramOutput() as output:
        output.write(STDOUT, b"".join(lines))
