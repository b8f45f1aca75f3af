"""Package managers that publish and install with granted tokens: npm, twine, pip, cargo."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.e2e.clients.conftest import RUN_S
from tests.e2e.internet import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.clients.conftest import User
    from tests.e2e.internet import Asked

pytestmark = pytest.mark.timeout(3 * RUN_S)

NPM, UPLOADS, INDEX, CRATES = "npm.corp.test", "up.corp.test", "index.corp.test", "crates.corp.test"
NPM_TOKEN = "npm_TheRealTokenOfTheUser0123456789012345"
PYPI_TOKEN = "pypi-TheRealTokenOfTheUser0123456789"
PASSWORD = "the-real-password-of-the-user"
CRATES_TOKEN = "cioTheRealTokenOfTheUser01234567890"
WHEEL = "hello_moat-1.0-py3-none-any.whl"
UNAUTHORIZED: Final = 401


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class NpmRegistry:
    """As much of a registry as publishing and installing need, for the owner of the token alone."""

    def __init__(self) -> None:
        self.packages: dict[str, Any] = {}
        self.tarballs: dict[str, bytes] = {}

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {NPM_TOKEN}":
            return Answer.of({"error": "unauthorized"}, UNAUTHORIZED)
        if asked.method == "PUT":
            package = json.loads(asked.body)
            for name, attached in package.pop("_attachments").items():
                content = base64.b64decode(attached["data"])
                self.tarballs[f"/{package['name']}/-/{name.rpartition('/')[2]}"] = content
            self.packages[f"/{package['name']}"] = package
            return Answer.of({"ok": True}, 201)
        path = asked.path.replace("%2f", "/")
        if path in self.tarballs:
            return Answer(self.tarballs[path])
        if path in self.packages:
            return Answer.of(self.packages[path])
        return Answer.of({"error": "not found"}, 404)


def test_npm_publishes_and_installs(user: User) -> None:
    """Its settings in the sandbox have a placeholder."""
    registry = NpmRegistry()
    user.internet.serve(NPM, registry.answer)
    credential = f"npm:{NPM}"
    user.grant(credential, NPM_TOKEN)
    said = user.ok(
        f"export NPM_CONFIG_REGISTRY=https://{NPM}/ NPM_CONFIG_UPDATE_NOTIFIER=false\n"
        "mkdir hello && cd hello\n"
        """echo '{"name": "@me/hello", "version": "1.0.0"}' > package.json\n"""
        "echo 'module.exports = \"hello from a package\"' > index.js\n"
        "npm publish --no-audit && mkdir ../use && cd ../use\n"
        "npm install --no-audit --no-fund @me/hello\n"
        "node -p 'require(\"@me/hello\")'; cat ~/.npmrc",
        credential,
    )
    assert "hello from a package" in said
    assert NPM_TOKEN not in said
    assert "_authToken=npm_" in said
    user.never_shown(NPM_TOKEN)


class PackageIndex:
    """A server that takes uploads with a token, and an index that wants a password."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def upload(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != basic("__token__", PYPI_TOKEN):
            return Answer(b"", UNAUTHORIZED)
        boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
        for part in asked.body.split(b"--" + boundary):
            head, _, content = part.partition(b"\r\n\r\n")
            found = re.search(rb'name="content"; filename="([^"]+)"', head)
            if found:
                self.files[found[1].decode()] = content.removesuffix(b"\r\n")
        return Answer()

    def index(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != basic("me", PASSWORD):
            return Answer(b"", UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="index"'})
        name = asked.path.rpartition("/")[2]
        if name in self.files:
            return Answer(self.files[name])
        links = "".join(f'<a href="/files/{name}">{name}</a>' for name in self.files)
        page = f"<!DOCTYPE html><html><body>{links}</body></html>"
        return Answer(page.encode(), 200, {"Content-Type": "text/html"})


def _wheel(folder: Path) -> None:
    record = "hello_moat-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("hello_moat.py", "print('hello from a wheel')\n")
        wheel.writestr(
            f"{record}/METADATA", "Metadata-Version: 2.1\nName: hello-moat\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{record}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{record}/RECORD", "")


def test_twine_uploads_and_pip_installs(user: User) -> None:
    """One by a token in its variables, the other from an index whose password it never knew."""
    index = PackageIndex()
    user.internet.serve(UPLOADS, index.upload)
    user.internet.serve(INDEX, index.index)
    _wheel(user.moat.workspace)
    credentials = f"pypi:{UPLOADS}", f"basic:{INDEX}"
    user.grant(credentials[0], PYPI_TOKEN)
    user.grant(credentials[1], json.dumps({"username": "me", "password": PASSWORD}))
    said = user.ok(
        f"twine upload --disable-progress-bar --non-interactive {WHEEL}\n"
        f"python3 -m pip --disable-pip-version-check install -q --no-input --target=there"
        f" --index-url https://{INDEX}/files/ hello-moat && python3 there/hello_moat.py",
        *credentials,
    )
    assert "hello from a wheel" in said
    user.never_shown(PYPI_TOKEN, PASSWORD)


class CrateRegistry:
    """A registry of crates with a sparse index, which asks for the token everywhere."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/index/config.json":
            return Answer.of({"dl": f"https://{CRATES}/api/dl", "api": f"https://{CRATES}"})
        if asked.path == "/api/v1/crates/new":
            if asked.headers.get("authorization") != CRATES_TOKEN:
                return Answer.of({"errors": [{"detail": "unauthorized"}]}, 403)
            size = int.from_bytes(asked.body[:4], "little")
            self.published.append(json.loads(asked.body[4 : 4 + size]))
            return Answer.of({"warnings": {}})
        if asked.path.startswith("/index/") and self.published:
            line = {"name": "hello-moat", "vers": "1.0.0", "deps": [], "features": {}}
            return Answer.of(line | {"cksum": "0" * 64, "yanked": False})
        return Answer(b"", 404)


def test_cargo_publishes(user: User) -> None:
    """Its token is a variable of the sandbox, for the registry that the run names."""
    registry = CrateRegistry()
    user.internet.serve(CRATES, registry.answer)
    credential = f"cargo:{CRATES}"
    user.grant(credential, CRATES_TOKEN)
    user.moat.write_settings(user.internet.settings(rules=[f"allow GET {CRATES}/**"]))
    said = user.ok(
        f"export CARGO_REGISTRIES_CORP_INDEX=sparse+https://{CRATES}/index/\n"
        "export CARGO_REGISTRIES_CORP_TOKEN=$CARGO_REGISTRY_TOKEN\n"
        "mkdir -p hello/src && cd hello && touch src/lib.rs\n"
        'printf \'[package]\\nname = "hello-moat"\\nversion = "1.0.0"\\nedition = "2021"\\n\''
        " > Cargo.toml\n"
        'printf \'description = "x"\\nlicense = "MIT"\\n\' >> Cargo.toml\n'
        "cargo publish -q --no-verify --allow-dirty --registry corp; env",
        credential,
    )
    assert [each["name"] for each in registry.published] == ["hello-moat"]
    assert CRATES_TOKEN not in said
    user.never_shown(CRATES_TOKEN)
