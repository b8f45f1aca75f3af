"""The specification of a run: what was asked for, immutable, complete and without behaviour.

A `RunSpec` is written once, as `spec.json`, before anything starts. A new supervisor needs nothing else
to start the run or to take it over. The parts below the supervisor are given a slice of it, never the
user's configuration.
"""

from moat.spec.network import Network, Timeouts
from moat.spec.protected_path import ProtectedPath
from moat.spec.run import Bubblewrap, Limits, Mount, PixelSize, RunId, RunSpec, TerminalSize

__all__ = [
    "Bubblewrap",
    "Limits",
    "Mount",
    "Network",
    "PixelSize",
    "ProtectedPath",
    "RunId",
    "RunSpec",
    "TerminalSize",
    "Timeouts",
]
