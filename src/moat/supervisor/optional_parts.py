"""Parts of a supervisor that few runs have, and that are loaded for those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.engines import registry
from moat.spec.grants import SSH

if TYPE_CHECKING:
    from pathlib import Path

    from moat.engines.engine import Engine
    from moat.runs.store import Store
    from moat.supervisor.audit import RunAudit
    from moat.supervisor.context import RunContext
    from moat.supervisor.egress import RunEgress
    from moat.supervisor.ports import RunPorts
    from moat.supervisor.services import RunServices
    from moat.supervisor.ssh_agent import SSHAgent
    from moat.supervisor.teardown import Teardown


def ssh_agent(run: RunContext, home: Path) -> SSHAgent | None:
    """Return the ssh agent of a run that was granted a key."""
    if all(grant.provider != SSH for grant in run.spec.grants):
        return None
    from moat.supervisor.ssh_agent import SSHAgent  # noqa: PLC0415
    from moat.supervisor.ssh_keys import GrantedKeys  # noqa: PLC0415

    return SSHAgent(run, GrantedKeys(run.spec.grants, home))


def ports(
    run: RunContext, home: Path, engine: Engine, egress: RunEgress, audit: RunAudit
) -> RunPorts | None:
    """Return the published ports of a run that has any."""
    if not run.spec.ports:
        return None
    from moat.supervisor.ports import RunPorts  # noqa: PLC0415

    return RunPorts(run, home, engine, egress, audit)


def services(
    run: RunContext, store: Store, engine: Engine, egress: RunEgress, teardown: Teardown
) -> RunServices | None:
    """Return the services of a run that has any."""
    if not run.spec.services:
        return None
    from moat.supervisor.services import RunServices  # noqa: PLC0415

    made = registry.services_of(run.spec, run.folder)
    return RunServices(run, store, engine, egress, made, lambda: teardown.expected)
