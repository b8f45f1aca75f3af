"""What a vault knows of itself."""

from __future__ import annotations

import pytest

from moat import typed_json
from moat.credentials.state import VaultState


def test_a_state_of_the_first_version_can_be_read() -> None:
    """What the first version of Moat with a vault wrote is readable for ever, and more may follow."""
    old = {"format": 1, "id": "v", "key_place": "keyring", "versions": 7, "new": []}
    state = typed_json.read(VaultState, old, ignore_unknown=True)
    assert state == VaultState(id="v", key_place="keyring", versions=7)


@pytest.mark.parametrize("place", ["", "nowhere", None])
def test_the_key_lies_in_a_known_place(place: object) -> None:
    """Another place than those that there are is damage."""
    with pytest.raises(ValueError, match="key_place"):
        typed_json.read(VaultState, {"id": "v", "key_place": place})
