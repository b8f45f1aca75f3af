"""Moat runs AI coding agents in sealed runs that outlive everything but their own command."""

from __future__ import annotations

from moat.version import __version__

__all__ = ["Moat", "__version__"]

TYPE_CHECKING = False  # `typing` is not free, and the shim and every command import this package
if TYPE_CHECKING:
    from moat.api import Moat


def __getattr__(name: str) -> object:
    """`from moat import Moat`, without making every command load asyncio."""
    if name == "Moat":
        from moat.api import Moat  # noqa: PLC0415

        return Moat
    raise AttributeError(name)
