"""skopeo with granted passwords of registries, which are Debian's docker-registry."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from tests.e2e.clients.conftest import RUN_S
from tests.e2e.internet import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.clients.conftest import User
    from tests.e2e.internet import Asked, Internet

pytestmark = pytest.mark.timeout(3 * RUN_S)

PASSWORD = "dckr_pat_TheRealPasswordOfTheUser"
HUB, TOKENS, CORP = "registry-1.docker.io", "auth.docker.io", "hub.corp.test"
SERVICE: Final = "registry.docker.io"
UNAUTHORIZED: Final = 401
LISTENING: Final = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _image(folder: Path) -> None:
    """Make an image of one empty layer, in the layout of OCI."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{name}", "size": len(content)}

    layer = blob(bytes(10240), "layer.v1.tar")
    root = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = blob(
        json.dumps({"architecture": "amd64", "os": "linux", "rootfs": root}).encode(),
        "config.v1+json",
    )
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    index = [blob(json.dumps(manifest).encode(), "manifest.v1+json")]
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": index}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


class TokenServer:
    """The server that gives programs a token for a password (docker/distribution, spec/auth/token)."""

    def __init__(self, key: bytes, certificate: bytes) -> None:
        self._key: Any = serialization.load_pem_private_key(key, None)
        loaded = x509.load_pem_x509_certificate(certificate)
        self._certificate = loaded.public_bytes(serialization.Encoding.DER)

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != basic("me", PASSWORD):
            return Answer.of({"details": "incorrect username or password"}, UNAUTHORIZED)
        return Answer.of({"token": self._token(), "expires_in": 300})

    def _token(self) -> str:
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(self._certificate).decode()]}
        access = [{"type": "repository", "name": "me/hello", "actions": ["pull", "push"]}]
        claims = {"iss": TOKENS, "aud": SERVICE, "sub": "me", "jti": "1", "access": access}
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 300}
        signed = ".".join(_url_safe(json.dumps(each).encode()) for each in (head, claims))
        numbers = utils.decode_dss_signature(
            self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        )
        signature = b"".join(number.to_bytes(32, "big") for number in numbers)
        return f"{signed}.{_url_safe(signature)}"


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def registry(internet: Internet, folder: Path, host: str, auth: dict[str, Any]) -> Iterator[None]:
    """Serve a registry on port 443 of a host."""
    folder.mkdir()
    key, certificate = internet.key_and_certificate(host)
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)
    tls = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": "127.0.0.1:0", "host": f"https://{host}", "tls": tls},
        "auth": auth,
    }
    (folder / "config.yml").write_text(json.dumps(config))
    command = ["docker-registry", "serve", folder / "config.yml"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            # It says so when it listens, and on which port.
            port = next(int(found[1]) for found in map(LISTENING.search, process.stderr) if found)
            drain = Thread(target=process.stderr.read)
            drain.start()
            internet.lead(host, port)
            yield
        finally:
            process.kill()
            process.wait()
        drain.join()


COPY: Final = """\
export GODEBUG=netdns=go
skopeo --insecure-policy copy -q oci:image docker://{image}
skopeo --insecure-policy copy -q docker://{image} dir:back
cat ~/.docker/config.json
"""


def test_an_image_goes_to_the_hub_and_back(user: User, tmp_path: Path) -> None:
    """The hub gives the program a token of its own, which is for this image alone and ends soon."""
    internet = user.internet
    tokens = TokenServer(*internet.key_and_certificate(TOKENS))
    internet.serve(TOKENS, tokens.answer)
    auth = {"realm": f"https://{TOKENS}/token", "service": SERVICE, "issuer": TOKENS}
    auth["rootcertbundle"] = str(internet.certificate)
    _image(user.moat.workspace / "image")
    user.grant("docker", json.dumps({"username": "me", "password": PASSWORD}))
    with registry(internet, tmp_path / "registry", HUB, {"token": auth}):
        said = user.ok(COPY.format(image="docker.io/me/hello:1"), "docker")
    assert "index.docker.io" in said
    assert base64.b64encode(f"me:{PASSWORD}".encode()).decode() not in said
    assert internet.asked
    assert (user.moat.workspace / "back" / "manifest.json").exists()
    user.never_shown(PASSWORD)


def test_a_registry_of_ones_own_takes_a_login(user: User, tmp_path: Path) -> None:
    """Basic with each request: `skopeo login` checks the placeholder, and the registry the password."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "passwords").write_text(f"me:{hashed}\n")
    auth = {"htpasswd": {"realm": "hub", "path": str(tmp_path / "passwords")}}
    _image(user.moat.workspace / "image")
    credential = f"registry:{CORP}"
    user.grant(credential, json.dumps({"username": "me", "password": PASSWORD}))
    with registry(user.internet, tmp_path / "registry", CORP, auth):
        login = f"skopeo login {CORP}\n"
        said = user.ok(login + COPY.format(image=f"{CORP}/me/hello:1"), credential)
    assert "Existing credentials are valid" in said
    assert (user.moat.workspace / "back" / "manifest.json").exists()
    user.never_shown(PASSWORD)
