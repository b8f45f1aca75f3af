"""The specification of a run: what was asked for, immutable, complete and without behaviour.

A `RunSpec` is written once, as `spec.json`, before anything starts. A new supervisor needs nothing else
to start the run or to take it over. The parts below the supervisor are given a slice of it, never the
user's configuration.
"""

from moat.spec.agent import AgentFile, AgentSetup, WaitRule
from moat.spec.budget import Budget, ModelPrice
from moat.spec.grants import Grant, Injection, Refresh, SandboxFile
from moat.spec.hooks import EventHook, Notify
from moat.spec.mcp import McpServer
from moat.spec.network import HostService, Network, Timeouts
from moat.spec.port import PublishedPort
from moat.spec.protected_path import ProtectedPath
from moat.spec.run import (
    Bubblewrap,
    Container,
    Limits,
    Mount,
    PixelSize,
    RunId,
    RunSpec,
    TerminalSize,
    Volume,
)
from moat.spec.service import Readiness, Service, ServiceVolume
from moat.spec.snapshots import Snapshots

__all__ = [
    "AgentFile",
    "AgentSetup",
    "Bubblewrap",
    "Budget",
    "Container",
    "EventHook",
    "Grant",
    "HostService",
    "Injection",
    "Limits",
    "McpServer",
    "ModelPrice",
    "Mount",
    "Network",
    "Notify",
    "PixelSize",
    "ProtectedPath",
    "PublishedPort",
    "Readiness",
    "Refresh",
    "RunId",
    "RunSpec",
    "SandboxFile",
    "Service",
    "ServiceVolume",
    "Snapshots",
    "TerminalSize",
    "Timeouts",
    "Volume",
    "WaitRule",
]
