"""The variables of a command in a container."""

from __future__ import annotations

from moat.engines.container.contents import command_environment
from moat.engines.trust_store import certificates
from moat.spec import RunId, RunSpec


def test_the_runs_authority_goes_before_the_images() -> None:
    """Images of Nix name a file of their own, without it; other variables of the image hold."""
    spec = RunSpec(id=RunId("a"), name="a", command=("a",), workspace="/w", created_at="a")
    image = {"SSL_CERT_FILE": "/nix/certificates", "PATH": "/nix/bin", "A": "b"}
    found = command_environment(spec, image, tty=False, variables={})
    assert found["SSL_CERT_FILE"] == certificates.variables()["SSL_CERT_FILE"]
    assert found["PATH"] == "/nix/bin"
    assert found["A"] == "b"
    assert command_environment(spec, image, tty=False, variables={"SSL_CERT_FILE": "/mine"})[
        "SSL_CERT_FILE"
    ] == ("/mine")
