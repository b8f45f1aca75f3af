"""The keys of a vault, as they are kept. Pure.

There is one key, except while `moat vault rekey` is at work: entries name their key, so each can be read
at any moment, whenever the work is interrupted.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moat import typed_json

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by their ids. New entries are encrypted with the current one."""

    current: str
    keys: Mapping[str, bytearray] = field(repr=False)

    def with_new(self, key_id: str, key: bytearray) -> KeyRing:
        """Return the ring with one more key, which is the current one."""
        return KeyRing(key_id, {**self.keys, key_id: key})

    def only_current(self) -> KeyRing:
        return KeyRing(self.current, {self.current: self.keys[self.current]})


def encode(ring: KeyRing) -> str:
    keys = {name: base64.b64encode(key).decode() for name, key in ring.keys.items()}
    return json.dumps({"current": ring.current, "keys": keys})


def decode(text: str) -> KeyRing:
    """Read what `encode` made. Raises `ValueError`, which quotes nothing of it."""
    try:
        value = typed_json.object_of(typed_json.parse(text), "keys")
        keys = {
            name: bytearray(base64.b64decode(each, validate=True))
            for name, each in typed_json.object_of(value["keys"], "keys").items()
        }
        ring = KeyRing(str(value["current"]), keys)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ValueError("the vault's key is damaged") from None
    if ring.current not in ring.keys:
        raise ValueError("the vault's key is damaged")
    return ring
