"""Real programs in a real sandbox trust a server that the run's authority vouches for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.engines.trust_store.authorities import make_authority, make_leaf

from moat.engines.trust_store import certificates

if TYPE_CHECKING:
    from tests.sandbox import Sandbox

SERVER = Path(__file__).with_name("tls_server.py")

CLIENTS = {
    "curl": "curl -sS $URL",
    "wget": "wget -qO- $URL",
    "openssl": "openssl s_client -quiet -verify_return_error -connect $ADDRESS <<< $'GET /\\n'",
    "git": "git ls-remote $URL",
    "apt": "/usr/lib/apt/apt-helper download-file $URL /tmp/file",
    "python3": "python3 -c 'import os, urllib.request as r; r.urlopen(os.environ[\"URL\"])'",
    "go": "GOPROXY=$URL GONOSUMDB=* go list -m -versions example.com/moat",
    "java": "java Get.java $URL",
    # These bring certificates of their own, so that for them there are the variables alone.
    "node": "node -e 'fetch(process.env.URL)'",
    "npm": "npm view moat --registry $URL --fetch-retries 0",
    "pip": "python3 -m pip download --retries 0 --no-deps --index-url $URL moat",
}
FIND_IT_THEMSELVES = list(CLIENTS)[:8]

GET_BY_JAVA = """
class Get {
    public static void main(String[] arguments) throws Exception {
        new java.net.URL(arguments[0]).openStream().close();
    }
}
"""


@pytest.fixture
def served(trusting: Sandbox) -> Sandbox:
    """A sandbox that trusts an authority, and in its workspace a server that this vouches for."""
    (trusting.workspace / "Get.java").write_text(GET_BY_JAVA)
    shutil.copy(SERVER, trusting.workspace)
    return trusting


def reach(sandbox: Sandbox, name: str, *before: str) -> tuple[int, str]:
    """Return how many of the client's requests came to the server, and what was printed."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    path = f"{sandbox.spec_fields['host_path']}:{Path(program).parent}"
    command = (*before, "bash", "-c", CLIENTS[name])
    done = sandbox.run("python3", SERVER.name, *command, host_path=path)
    return int(done.stdout.splitlines()[-1]), done.stdout + done.stderr


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_trust_the_authority(served: Sandbox, name: str) -> None:
    """With the sandbox's variables, every client reaches the server."""
    count, said = reach(served, name)
    assert count > 0, said


@pytest.mark.parametrize("name", FIND_IT_THEMSELVES)
def test_no_variable_is_needed(served: Sandbox, name: str) -> None:
    """Where the program looks for the system's certificates, it finds the authority."""
    unset = [word for variable in certificates.variables() for word in ("-u", variable)]
    count, said = reach(served, name, "env", *unset)
    assert count > 0, said


def test_another_authority_is_not_trusted(served: Sandbox, tmp_path: Path) -> None:
    """The clients of the other tests do verify certificates."""
    make_authority(tmp_path / "other")
    (served.workspace / "leaf.pem").write_bytes(make_leaf(tmp_path / "other"))
    for name in ("curl", "python3"):
        count, said = reach(served, name)
        assert count == 0
        assert "unable to get local issuer certificate" in said
