"""A credential in the clear, as requests use it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.authorization.forms import echoes

if TYPE_CHECKING:
    from collections.abc import Mapping


class HeldCredential:
    """The secrets of one credential. It has no representation that shows them."""

    __slots__ = ("echoes", "fields", "renewable")

    def __init__(self, fields: Mapping[str, str], *, renewable: bool = False) -> None:
        self.fields = fields
        self.renewable = renewable
        """A new one can be had for it if a server refuses it."""
        self.echoes = echoes(fields)
