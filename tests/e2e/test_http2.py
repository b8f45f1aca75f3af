"""HTTP/2 from end to end, with Node's client and server: streams, bodies and trailers, as gRPC needs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from tests.e2e.conftest import TIMEOUT_S

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat

HERE = Path(__file__).parent
STREAMS, SIZE = 20, 300_000


@pytest.fixture
def origin(moat: Moat, tmp_path: Path) -> Iterator[str]:
    """The URL of a server that speaks nothing but HTTP/2."""
    folder = tmp_path / "ca"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    key, certificate = authority._leaf_key, authority._leaf("origin.test")
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = tmp_path / "leaf.pem"
    pem.write_bytes(text + certificate.public_bytes(serialization.Encoding.PEM))
    node = subprocess.Popen(
        ["node", HERE / "http2_origin.mjs", pem], stdout=subprocess.PIPE, text=True
    )
    assert node.stdout is not None
    port = int(node.stdout.readline())
    (moat.workspace / "ca.pem").write_bytes(authority.certificate_pem)
    network = {
        "hosts": {"origin.test": "127.0.0.1"},
        "private": ["127.0.0.0/8"],
        "upstream_ca": "ca.pem",
        "rules": [f"allow origin.test:{port}"],
    }
    (moat.workspace / "agent.yaml").write_text(json.dumps({"network": network}))
    moat.trust_projects()
    yield f"https://origin.test:{port}"
    node.kill()
    node.wait()
    node.stdout.close()


def test_streams_bodies_and_trailers_pass(moat: Moat, origin: str) -> None:
    """Twenty calls at once over one connection; each has its own body, status and trailers."""
    shutil.copy(HERE / "http2_client.mjs", moat.workspace)

    done = moat(
        *(
            "run",
            "--name",
            "one",
            "--",
            "node",
            "http2_client.mjs",
            origin,
            str(STREAMS),
            str(SIZE),
        ),
        timeout=TIMEOUT_S,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == [
        {"status": 200, "length": SIZE, "grpc": "0", "path": f"/call/{number}"}
        for number in range(STREAMS)
    ]
    rows = [json.loads(line) for line in moat.ok("trace", "one", "--json").splitlines()]
    requests = [row for row in rows if row["kind"] == "request"]
    assert {row["protocol"] for row in requests} == {"HTTP/2"}
    assert [row["sent"] for row in requests] == [SIZE] * STREAMS
    assert sum(row["durations"]["connect"] is not None for row in requests) == 1


def test_a_client_of_http_1_reaches_no_server_of_http_2_alone(moat: Moat, origin: str) -> None:
    """What they have not in common can't be made up for: an error that says so, and no hang."""
    curl = ("curl", "-sS", "--http1.1", "-o", "/dev/null", "-w", "%{http_code}", f"{origin}/")

    done = moat("run", "--", *curl)

    assert done.stdout == "502", done.stderr
