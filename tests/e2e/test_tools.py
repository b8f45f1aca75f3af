"""The programs that agents use, each in a sandbox where no variable names a proxy.

They know nothing of Moat: they resolve names, connect and speak TLS as ever, and the record shows
what they asked for. Package managers talk to the registries that this machine is set up for.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.e2e.git_origin import GitOrigin
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat
    from tests.e2e.ordinary_user import OrdinaryUser

INSTALL_S = 250.0
"""For a registry far away."""

pytestmark = pytest.mark.timeout(2 * INSTALL_S)

# How this machine gets out, where it does not get there directly: the supervisor's to know.
WAY_OUT = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")

CLIENTS = {
    "curl": "curl -sS $URL",
    "curl of old": "curl -sS --http1.0 $URL",
    "wget": "wget -qO- $URL",
    "apt": "/usr/lib/apt/apt-helper download-file $URL /tmp/file >&2 && cat /tmp/file",
    "python3 urllib": "python3 get.py $URL",
    "node fetch": "node -e 'fetch(process.env.URL).then(r => r.text()).then(console.log)'",
    "node https": "node -e 'require(\"https\").get(process.env.URL, r => r.pipe(process.stdout))'",
    "java": "java Get.java $URL",
    "ruby": "ruby -ropen-uri -e 'print URI.open(ENV[\"URL\"]).read'",
    "php": "php -r 'print file_get_contents(getenv(\"URL\"));'",
    "deno": "deno eval 'console.log(await (await fetch(Deno.env.get(\"URL\"))).text())'",
    "bun": "bun -e 'console.log(await (await fetch(process.env.URL)).text())'",
}
# `make programs` installs what these need. The others are tried wherever they are.
CERTAIN = ("curl", "curl of old", "wget", "python3 urllib", "node fetch", "node https")
WITHOUT_VARIABLES = ("curl", "wget", "apt", "python3 urllib", "ruby", "php")

GET_BY_PYTHON = """
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())
"""
GET_BY_LIBRARIES = """
import asyncio, sys, aiohttp, httpx, requests

async def get(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()

print(requests.get(sys.argv[1] + "/requests").text)
print(httpx.get(sys.argv[1] + "/httpx").text)
print(asyncio.run(get(sys.argv[1] + "/aiohttp")))
"""
GET_BY_JAVA = """
import java.net.URI;
import java.net.http.*;

class Get {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
        var text = HttpResponse.BodyHandlers.ofString();
        System.out.println(HttpClient.newHttpClient().send(request, text).body());
    }
}
"""
GET_BY_GO = """
package main

import ("io"; "net/http"; "os")

func main() {
    response, err := http.Get(os.Args[1])
    if err != nil { panic(err) }
    io.Copy(os.Stdout, response.Body)
}
"""
CARGO_PROJECT = """
[package]
name = "tried"
version = "0.1.0"
edition = "2021"
[lib]
path = "lib.rs"
[dependencies]
itoa = "1"
"""


def is_here(name: str) -> bool:
    return shutil.which(name.split(maxsplit=1)[0]) is not None


GO, CARGO, APT = (list(filter(is_here, [name])) for name in ("go", "cargo", "apt-get"))


@pytest.fixture
def certificate(moat: Moat) -> ssl.SSLContext:
    """Of origin.test, which the runs of `moat` take for a server like any other."""
    authority = CertificateAuthority.load_or_create(moat.home.parent)
    (moat.workspace / "ca.pem").write_bytes(authority.certificate_pem)
    return authority.context("origin.test", ("http/1.1",))


@pytest.fixture
def origin(moat: Moat, certificate: ssl.SSLContext) -> Iterator[Origin]:
    with Origin(certificate) as server:
        open_way(moat, server.port)
        yield server


def open_way(moat: Moat, port: int) -> None:
    """To origin.test, and to registries on private networks."""
    network = {
        "hosts": {"origin.test": "127.0.0.1"},
        "private": ["**"],
        "upstream_ca": "ca.pem",
        "rules": [f"allow origin.test:{port}"],
    }
    (moat.workspace / "agent.yaml").write_text(yaml.safe_dump({"network": network}))
    moat.trust_projects()


@pytest.fixture
def online(moat: Moat) -> Moat:
    """Runs that reach the world as this machine does."""
    (moat.workspace / "agent.yaml").write_text("network: {private: ['**']}\n")
    moat.trust_projects()
    moat.environment |= {name: os.environ[name] for name in WAY_OUT if name in os.environ}
    python = str(Path(sys.executable).parent)
    moat.environment["PATH"] = f"{python}:{moat.environment['PATH']}"
    return moat


def run(moat: Moat, script: str, **environment: str) -> str:
    """What a shell in a run `x` prints."""
    (moat.workspace / "get.py").write_text(GET_BY_PYTHON)
    (moat.workspace / "Get.java").write_text(GET_BY_JAVA)
    variables = [word for pair in environment.items() for word in ("-e", "=".join(pair))]
    command = ("bash", "-euc", f"! env | grep -i _proxy=\n{script}")
    return moat.ok("run", "-n", "x", *variables, "--", *command, timeout=INSTALL_S)


def requests(moat: Moat) -> list[dict[str, Any]]:
    """Of run `x`, as the record has them; all went well."""
    lines = moat.ok("trace", "x", "--json").splitlines()
    rows = [json.loads(line) for line in lines]
    found = [row for row in rows if row["kind"] == "request"]
    assert {row["verdict"] for row in found} <= {"allowed"}
    # A client may close a connection that it had no use for: that is written down as failed.
    assert not [row for row in rows if row["verdict"] == "denied" and row["kind"] != "dns"]
    return found


def was_fetched(moat: Moat, path: str) -> bool:
    """Whether a path like this regular expression was answered with 200."""
    found = [row for row in requests(moat) if re.search(path, row["path"])]
    return any(row["status"] == 200 for row in found)


def asked(*command: str) -> str:
    """What a tool of this machine says about its own configuration; empty where it has none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


# --- clients of a server ---


@pytest.mark.parametrize("name", [name for name in CLIENTS if name in CERTAIN or is_here(name)])
def test_clients_get_through(moat: Moat, origin: Origin, name: str) -> None:
    """The body arrives, and the record has the request that was made for it."""
    url = f"https://origin.test:{origin.port}/page"
    assert "hello from /page" in run(moat, CLIENTS[name], URL=url)
    (row,) = requests(moat)
    assert (row["host"], row["status"], row["url"]) == ("origin.test", 200, url)
    assert row["received"] == len("hello from /page")


@pytest.mark.parametrize(
    "name", [name for name in WITHOUT_VARIABLES if name in CERTAIN or is_here(name)]
)
def test_no_variable_is_needed(moat: Moat, origin: Origin, name: str) -> None:
    """With an empty environment, the system's own certificates suffice."""
    url = f"https://origin.test:{origin.port}/page"
    script = f"URL={url}; {CLIENTS[name]}"
    clean = f'exec env -i PATH="$PATH" bash -euc {shlex.quote(script)}'
    assert "hello from /page" in run(moat, clean)
    assert was_fetched(moat, "^/page$")


@pytest.mark.parametrize("name", GO)
def test_a_program_in_go(moat: Moat, origin: Origin, name: str, tmp_path: Path) -> None:
    """It asks DNS itself and brings its own TLS: nothing of it is the system's but the roots."""
    (tmp_path / "get.go").write_text(GET_BY_GO)
    build = [name, "build", "-o", str(moat.workspace / "get"), "get.go"]
    subprocess.run(build, cwd=tmp_path, env=os.environ | {"CGO_ENABLED": "0"}, check=True)
    url = f"https://origin.test:{origin.port}/page"
    assert run(moat, f"./get {url}; env -i ./get {url}") == 2 * "hello from /page"
    assert [row["status"] for row in requests(moat)] == [200, 200]


def test_git_clones_and_pushes(moat: Moat, certificate: ssl.SSLContext, tmp_path: Path) -> None:
    """Over HTTPS, with a push that is larger than git sends at once."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tmp_path / "it.git"], check=True)
    script = """
    export GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@t.test GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@t.test
    cd /tmp
    git clone -q $URL one
    cd one
    head -c 3000000 /dev/urandom > file
    git add file
    git commit -qm 'Begin'
    git push -q origin HEAD:main
    git clone -q $URL ../two
    cmp file ../two/file
    env -i git ls-remote $URL
    """
    with GitOrigin(tmp_path, certificate) as server:
        open_way(moat, server.port)
        listed = run(moat, script, URL=f"https://origin.test:{server.port}/it.git")
    assert listed.endswith("\trefs/heads/main\n")
    assert was_fetched(moat, r"^/it.git/info/refs\?service=git-upload-pack$")
    pushed = [row for row in requests(moat) if row["path"] == "/it.git/git-receive-pack"]
    assert {row["status"] for row in pushed} == {200}
    assert sum(row["sent"] for row in pushed) > 3_000_000


# --- package managers and their registries ---


def pip_index() -> dict[str, str]:
    index = asked(sys.executable, "-m", "pip", "config", "get", "global.index-url")
    index = os.environ.get("PIP_INDEX_URL", index)
    return {"PIP_INDEX_URL": index} if index else {}


def test_pip_downloads(online: Moat) -> None:
    """A wheel, and the record names it."""
    run(online, "python3 -m pip download -q --no-deps -d /tmp six", **pip_index())
    assert was_fetched(online, "/six-.*[.]whl$")


def test_pip_installs_and_libraries_get_through(online: Moat, certificate: ssl.SSLContext) -> None:
    """Three HTTP libraries and all that they need, into a virtual environment; then in use."""
    script = """
    python3 -m venv /tmp/env
    /tmp/env/bin/pip install -q requests httpx aiohttp
    /tmp/env/bin/python by_libraries.py $URL
    """
    (online.workspace / "by_libraries.py").write_text(GET_BY_LIBRARIES)
    # Of this machine's way out no server on loopback is part.
    online.environment["NO_PROXY"] = ",".join(
        filter(None, (online.environment.get("NO_PROXY"), "origin.test"))
    )
    with Origin(certificate) as server:
        open_way(online, server.port)
        url = f"https://origin.test:{server.port}"
        said = run(online, script, URL=url, **pip_index())
    got = [row["path"] for row in requests(online) if row["host"] == "origin.test"]
    assert got == ["/requests", "/httpx", "/aiohttp"]
    assert all(f"hello from {path}" in said for path in got)
    for wheel in ("requests", "urllib3", "httpx", "anyio", "aiohttp", "multidict"):
        assert was_fetched(online, f"/{wheel}-.*[.]whl$"), wheel


def test_npm_installs(online: Moat) -> None:
    """A package and what it depends on."""
    (online.workspace / "package.json").write_text('{"name": "tried", "version": "1.0.0"}')
    registry = asked("npm", "config", "get", "registry")
    script = "npm install is-odd; node -p 'require(\"is-odd\")(3)'"
    assert run(online, script, npm_config_registry=registry).endswith("true\n")
    for package in ("is-odd", "is-number"):
        assert was_fetched(online, f"/{package}-[0-9.]*[.]tgz$")


@pytest.mark.parametrize("name", APT)
def test_apt_downloads(online: Moat, name: str) -> None:
    """Lists as the machine's sources give them, verified by their signatures; then a package."""
    script = f"""
    mkdir -p /tmp/apt/lists/partial /tmp/apt/archives/partial
    options="-o Dir::State=/tmp/apt -o Dir::Cache=/tmp/apt -o Dir::State::status=/dev/null
      -o Debug::NoLocking=1 -o Acquire::Languages=none"
    {name} -q $options update
    cd /tmp
    {name} -q $options download hello
    dpkg-deb --info hello_*.deb
    """
    assert "Package: hello" in run(online, script)
    assert was_fetched(online, "/hello_[^/]*[.]deb$")


@pytest.mark.parametrize("name", GO)
def test_go_downloads(online: Moat, name: str) -> None:
    """A module and what it depends on, from the machine's proxies of modules."""
    script = "go mod init tried.test; go get rsc.io/quote@v1.5.2"
    proxies = asked(name, "env", "GOPROXY")
    run(online, script, GOPROXY=proxies, GOSUMDB="off", GOTOOLCHAIN="local")
    for module in ("rsc.io/quote", "rsc.io/sampler"):
        assert was_fetched(online, f"/{module}/@v/.*[.]zip$")


@pytest.mark.parametrize("name", CARGO)
def test_cargo_downloads(online: Moat, name: str) -> None:
    """A crate, by the index that is asked by HTTP."""
    (online.workspace / "Cargo.toml").write_text(CARGO_PROJECT)
    (online.workspace / "lib.rs").touch()
    run(online, f"{name} fetch -q; grep -A1 itoa Cargo.lock")
    assert was_fetched(online, "/itoa/.*(download|[.]crate)$")


def test_a_path_that_leads_where_the_user_may_not_go(ordinary_user: OrdinaryUser) -> None:
    """As `su` and `sudo` leave it; its other folders are shown."""
    closed = ordinary_user.folder / "closed"
    (closed / "bin").mkdir(parents=True)
    closed.chmod(0)
    listed_by_nobody = ordinary_user.folder / "tools"
    listed_by_nobody.mkdir()
    (listed_by_nobody / "tool").symlink_to("/usr/bin/true")
    listed_by_nobody.chmod(0o711)
    path = f"{closed}/bin:{listed_by_nobody}:/usr/bin:/bin"
    done = ordinary_user.moat("run", "--", "tool", PATH=path)
    assert done.returncode == 0, done.stderr
    closed.chmod(0o700)
