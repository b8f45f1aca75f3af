"""What a run was asked to be: immutable, complete, without behaviour.

`RunSpec` is written once, as `spec.json`, before anything starts. It is all that a new supervisor
needs to start the run or to take it over. Parts below the supervisor take slices of it and never
the user's configuration.
"""

from moat.spec.network import Network, Timeouts
from moat.spec.run import Limits, Mount, RunId, RunSpec, TerminalSize

__all__ = ["Limits", "Mount", "Network", "RunId", "RunSpec", "TerminalSize", "Timeouts"]
