"""gRPC with a granted credential: real HTTP/2 on both sides, streams in both directions, trailers."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.clients.conftest import PROGRAMS, RUN_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.clients.conftest import User
    from tests.e2e.internet import Internet

pytestmark = pytest.mark.timeout(3 * RUN_S)

PEERS = Path(__file__).with_name("grpc_peers.py")
HOST, TOKEN = "grpc.corp.test", "TheRealTokenOfTheUser0123456789"


@contextmanager
def server(internet: Internet, folder: Path) -> Iterator[None]:
    key, certificate = internet.key_and_certificate(HOST)
    (folder / "key.pem").write_bytes(key)
    (folder / "leaf.pem").write_bytes(certificate)
    files = [str(folder / "key.pem"), str(folder / "leaf.pem")]
    command = [str(PROGRAMS / "python"), str(PEERS), "serve", *files, f"Bearer {TOKEN}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            internet.lead(HOST, int(process.stdout.readline()))
            yield
        finally:
            process.terminate()


def test_a_conversation_with_a_placeholder(user: User, tmp_path: Path) -> None:
    """The server knows the user by the secret; messages and trailers pass as they come."""
    user.grant(f"header:{HOST}", TOKEN)
    shutil.copy(PEERS, user.moat.workspace)
    with server(user.internet, tmp_path):
        said = user.ok(
            f'{PROGRAMS}/python {PEERS.name} call {HOST}:443 "Bearer a-placeholder"; env',
            f"header:{HOST}",
        )
    assert said.startswith("echo of one\necho of two\necho of three\n3\n")
    assert TOKEN not in said
    user.never_shown(TOKEN)
