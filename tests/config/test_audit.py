"""The witnesses of the settings."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.witnesses import Cosigner

from moat.config import settings
from moat.config.audit import WitnessSetting
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

KEY = Cosigner().vkey
URL = "https://witness.example/prefix"


def loaded(home: Path, *witnesses: dict[str, Any]) -> settings.Settings:
    home.chmod(0o700)
    (home / "config.yaml").write_text(json.dumps({"audit": {"witness": list(witnesses)}}))
    return settings.load(home)


def test_witnesses(tmp_path: Path) -> None:
    """A slash at the end of a URL makes no difference."""
    found = loaded(tmp_path, {"url": f"{URL}/", "key": KEY})
    assert found.witnesses == (WitnessSetting(URL, KEY),)
    assert settings.Settings().witnesses == ()


@pytest.mark.parametrize(
    ("witness", "why"),
    [
        ({"url": URL}, "lacks its key"),
        ({"key": KEY}, "lacks its url"),
        ({"url": "http://witness.example", "key": KEY}, "no https URL"),
        ({"url": "https://", "key": KEY}, "no https URL"),
        ({"url": f"{URL}?x", "key": KEY}, "no https URL"),
        ({"url": "https://me:secret@w.example", "key": KEY}, "no password"),
        ({"url": URL, "key": KEY.replace("w1", "w2")}, "no verifier key"),
        ({"url": URL, "key": KEY[:-3]}, "no verifier key"),
        ({"url": URL, "key": "x"}, "no verifier key"),
        ({"url": URL, "key": KEY, "name": "x"}, "name"),
    ],
)
def test_what_is_refused(tmp_path: Path, witness: dict[str, Any], why: str) -> None:
    """Before a run begins that would not be witnessed."""
    with pytest.raises(UsageError) as refusal:
        loaded(tmp_path, witness)
    assert why in f"{refusal.value.summary} {refusal.value.hint}"
    assert "secret" not in f"{refusal.value.summary} {refusal.value.hint}"


def test_a_key_of_a_log(tmp_path: Path) -> None:
    """It has the same form, and is no key of a witness."""
    import hashlib  # noqa: PLC0415  for this alone

    data = b"\1" + bytes(32)
    number = hashlib.sha256(b"x\n" + data).hexdigest()[:8]
    key = f"x+{number}+{base64.b64encode(data).decode()}"
    with pytest.raises(UsageError, match="signs with Ed25519"):
        loaded(tmp_path, {"url": URL, "key": key})


def test_too_many_and_twice_the_same(tmp_path: Path) -> None:
    """Each of them is asked, one after the other."""
    with pytest.raises(UsageError, match="same key"):
        loaded(tmp_path, *[{"url": URL, "key": KEY}] * 2)
    many = [{"url": URL, "key": Cosigner(seed=bytes([each]) * 32).vkey} for each in range(9)]
    with pytest.raises(UsageError, match="more than 8"):
        loaded(tmp_path, *many)


def test_no_project_can_name_one(tmp_path: Path) -> None:
    """A hostile one would learn of each run."""
    from moat.config.agent_file import FIELDS  # noqa: PLC0415  for this alone

    assert "audit" not in FIELDS
