"""Moat runs AI coding agents in sealed runs that outlive everything but their own command."""

from __future__ import annotations

from moat.version import __version__

__all__ = ["Moat", "__version__"]

TYPE_CHECKING = (
    False  # importing `typing` takes time, and the shim and every command import this package
)
if TYPE_CHECKING:
    from moat.api import Moat


def __getattr__(name: str) -> object:
    """Load `moat.api` for `from moat import Moat` only, so that no command loads asyncio for it."""
    if name == "Moat":
        from moat.api import Moat  # noqa: PLC0415

        return Moat
    raise AttributeError(name)
