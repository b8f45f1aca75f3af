"""The authority's key, which would open all that the run says to others, stays with the supervisor."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from tests.e2e.conftest import Moat

HUNT = Path(__file__).with_name("hostile") / "hunt.py"
VARIABLE = b"MARK=to be found"


def test_the_key_is_nowhere_in_the_sandbox(moat: Moat) -> None:
    """Neither as it stands in its file nor as a number. The certificate, by the same search, is."""
    start = time.time()
    moat.ok("run", "-d", "-n", "x", "-e", VARIABLE.decode(), "--", "sleep", "infinity")
    pem = (moat.home / "runs" / moat.inspect("x")["id"] / "authority.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    forms = [*pem.split(b"\n")[1:3], number.to_bytes(32, "big"), number.to_bytes(32, "little")]
    certificate = pem.partition(b"BEGIN CERTIFICATE-----\n")[2][:64]

    shutil.copy(HUNT, moat.workspace)
    backwards = [each[::-1].hex() for each in (certificate, VARIABLE, *forms)]
    said = moat.ok("exec", "x", "--", "python3", "hunt.py", str(start), *backwards)
    found = [line.split(" ", 1) for line in said.splitlines()]
    assert {"/etc/moat/authority.pem", "/etc/moat/certificates.pem"} <= {
        path for number, path in found if number == "0"
    }
    assert any(path.endswith("/environ") for number, path in found if number == "1")
    assert not [path for number, path in found if int(number) > 1]
