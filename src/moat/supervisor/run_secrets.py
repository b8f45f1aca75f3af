"""The secrets that a run's commands get as variables; its row of the vault has them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from moat.errors import MoatError
from moat.events import SecretsResolved

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moat.supervisor.context import RunContext

log = logging.getLogger(__name__)


class RunSecrets:
    """Fetches a run's secrets from the vault, and removes them there once the run has ended."""

    def __init__(self, run: RunContext, home: Path) -> None:
        self._run = run
        self._home = home

    async def variables(self) -> Mapping[str, str]:
        """Return the secrets by variable, which an event names. Raises `VaultError`."""
        run = self._run
        if not run.spec.secrets:
            return {}
        from moat.credentials.run_secrets import secrets_of  # noqa: PLC0415  few runs have any

        secrets = await run.loop.run_in_executor(None, secrets_of, self._home, run.spec.id)
        run.emit(SecretsResolved(tuple(sorted(secrets))))
        return secrets

    def forget(self) -> None:
        """Remove the secrets from the vault. Logs."""
        if not self._run.spec.secrets:
            return
        from moat.credentials.run_secrets import forget  # noqa: PLC0415  few runs have any

        try:
            forget(self._home, self._run.spec.id)
        except MoatError as exc:  # a full disk: `moat destroy` tries again
            log.error("the run's secrets are still in the vault: %s", exc.summary)  # noqa: TRY400
