"""The egress proxy beside its peers, in one run: `python bench/egress [--write]`.

Needs go, nginx and taskset; squid (with ssl-bump), mitmdump and tinyproxy take part where they are
installed. The proxy has one core to itself as far as the machine allows, clients and server the others.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives import serialization

from moat.egress.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- egress: begin -->", "<!-- egress: end -->"
SMALL, LARGE = 64, 256 << 20
PROXY_CORE, OTHER_CORES = "0", "1-255"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Contender(NamedTuple):
    name: str
    proxy: str
    """URL; empty for none."""
    roots: Path
    pid: int
    """0: there is no process to look at."""


class Figures(NamedTuple):
    requests: float
    cpu_us: float
    p50_us: float
    new: float
    cpu_gb: float
    events_ms: float
    memory_mb: float


def main() -> None:
    for needed in ("go", "nginx", "taskset"):
        if shutil.which(needed) is None:
            raise SystemExit(f"bench: {needed} is not installed")
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        lab = Lab(Path(name), running)
        rows = [(each.name, lab.measure(each)) for each in lab.contenders()]
    table = _table(rows)
    print(table)
    if "--write" in sys.argv:
        text = README.read_text()
        before, _, rest = text.partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


class Lab:
    """Certificates, the server, the clients, and everything that was started."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder = folder
        self._running = running
        folder.chmod(0o755)  # squid and nginx give up root
        authority = Authority.load_or_create(folder)
        self._roots = folder / "roots.pem"
        self._roots.write_bytes(authority.certificate_pem)
        self._pem = folder / "server.pem"
        key, leaf = authority._leaf_key, authority._leaf("localhost")  # noqa: SLF001
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self._pem.write_bytes(
            key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + leaf.public_bytes(pem)
        )
        self._origin, self._events = _free_port(), _free_port()
        self._load = folder / "load"
        subprocess.run(["go", "build", "-o", self._load, HERE / "load.go"], check=True)
        self._start_servers()

    def contenders(self) -> Iterator[Contender]:
        yield Contender("no proxy", "", self._roots, 0)
        if shutil.which("tinyproxy"):
            yield self._tunnel()
        yield self._ours()
        if shutil.which("squid") and Path("/usr/lib/squid/security_file_certgen").exists():
            yield self._squid()
        mitmdump = shutil.which("mitmdump") or os.environ.get("MITMDUMP")
        if mitmdump:
            yield self._mitmproxy(mitmdump)

    def measure(self, each: Contender) -> Figures:
        small = f"https://localhost:{self._origin}/small"
        self._ask(each, small, SMALL, "--mode", "keep", "--duration", "1s")  # warm
        with _cpu(each.pid) as cpu:
            many = self._ask(each, small, SMALL, "--mode", "keep")
        memory = _memory(each.pid)
        one = self._ask(each, small, SMALL, "--mode", "keep", "--clients", "1")
        new = self._ask(each, small, SMALL, "--mode", "new", "--clients", "8")
        with _cpu(each.pid) as bulk_cpu:
            large = f"https://localhost:{self._origin}/large"
            bulk = self._ask(each, large, LARGE, "--mode", "bulk", "--clients", "1")
        url = f"https://localhost:{self._events}/"
        events = self._ask(each, url, 0, "--mode", "events", "--clients", "1")
        return Figures(
            many["requests"] / many["seconds"],
            cpu() / many["requests"] * 1e6,
            one["p50"] * 1e6,
            new["requests"] / new["seconds"],
            bulk_cpu() / bulk["bytes"] * 1e9,
            events["p50"] * 1e3,
            max(memory, _memory(each.pid)),
        )

    def _ask(self, each: Contender, url: str, size: int, *options: str) -> dict[str, float]:
        command = ["taskset", "-c", OTHER_CORES, self._load, "--url", url, "--size", str(size)]
        command += ["--roots", each.roots, "--proxy", each.proxy, *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    # --- servers ---

    def _start_servers(self) -> None:
        www = self._folder / "www"
        www.mkdir()
        (www / "small").write_bytes(b"x" * SMALL)
        (www / "large").write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
        conf = self._folder / "nginx.conf"
        conf.write_text(
            f"worker_processes 1; daemon off; pid {self._folder}/nginx.pid;"
            f"error_log {self._folder}/nginx.log; events {{ worker_connections 4096; }}"
            "http { access_log off; keepalive_requests 100000000; server {"
            f"listen 127.0.0.1:{self._origin} ssl; ssl_certificate {self._pem};"
            f"ssl_certificate_key {self._pem}; root {www}; }} }}"
        )
        self._start("nginx", "-c", str(conf), port=self._origin, cores=OTHER_CORES)
        events = (sys.executable, str(HERE / "events.py"), str(self._events), str(self._pem))
        self._start(*events, port=self._events, cores=OTHER_CORES)

    # --- contenders ---

    def _tunnel(self) -> Contender:
        port = _free_port()
        conf = self._folder / "tinyproxy.conf"
        conf.write_text(
            f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 200\nLogLevel Error\n"
        )
        pid = self._start("tinyproxy", "-d", "-c", str(conf), port=port)
        return Contender("tunnel (tinyproxy)", f"http://127.0.0.1:{port}", self._roots, pid)

    def _ours(self) -> Contender:
        port, folder = _free_port(), self._folder / "ours"
        folder.mkdir()
        ours = (sys.executable, str(HERE / "ours.py"), str(folder), str(port), str(self._roots))
        pid = self._start(*ours, port=port)
        roots = self._folder / "ours.pem"
        roots.write_bytes(Authority.load_or_create(folder).certificate_pem)
        return Contender("moat", f"http://127.0.0.1:{port}", roots, pid)

    def _squid(self) -> Contender:
        port, folder = _free_port(), self._folder / "squid"
        folder.mkdir()
        helper = "/usr/lib/squid/security_file_certgen"
        subprocess.run([helper, "-c", "-s", folder / "certificates", "-M", "4MB"], check=True)
        both = folder / "both.pem"
        both.write_bytes((self._folder / "authority.pem").read_bytes())
        conf = folder / "squid.conf"
        conf.write_text(
            f"http_port 127.0.0.1:{port} ssl-bump cert={both} generate-host-certificates=on\n"
            f"sslcrtd_program {helper} -s {folder}/certificates -M 4MB\n"
            "acl first at_step SslBump1\nssl_bump peek first\nssl_bump bump all\n"
            "http_access allow all\ncache deny all\nworkers 1\nshutdown_lifetime 0 seconds\n"
            f"access_log {folder}/access.log\ncache_log {folder}/cache.log\n"
            f"pid_filename {folder}/squid.pid\ntls_outgoing_options cafile={self._roots}\n"
            f"coredump_dir {folder}\n"
        )
        for path in (folder, both, *folder.rglob("*")):
            shutil.chown(path, "proxy", "proxy")
        pid = self._start("squid", "-N", "-f", str(conf), port=port)
        return Contender("squid (ssl-bump)", f"http://127.0.0.1:{port}", self._roots, pid)

    def _mitmproxy(self, mitmdump: str) -> Contender:
        port, folder = _free_port(), self._folder / "mitmproxy"
        folder.mkdir()
        settings = (f"confdir={folder}", f"ssl_verify_upstream_trusted_ca={self._roots}")
        options = [word for each in settings for word in ("--set", each)]
        pid = self._start(mitmdump, "-q", "-p", str(port), *options, port=port)
        roots = folder / "mitmproxy-ca-cert.pem"
        return Contender("mitmproxy", f"http://127.0.0.1:{port}", roots, pid)

    def _start(self, *command: str, port: int, cores: str = PROXY_CORE) -> int:
        log = self._running.enter_context((self._folder / "output.log").open("ab"))
        process = subprocess.Popen(["taskset", "-c", cores, *command], stdout=log, stderr=log)
        self._running.callback(_stop, process)
        _wait_for(port, process)
        return process.pid


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """A server that was started by another's command line tells nobody when it listens."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise SystemExit(f"bench: {process.args} ended") from None
        else:
            return


@contextmanager
def _cpu(pid: int) -> Iterator[Callable[[], float]]:
    """Seconds of processor time that the process took meanwhile."""
    begun = _ticks(pid)
    ended = [begun]
    yield lambda: (ended[0] - begun) / TICKS
    ended[0] = _ticks(pid)


def _ticks(pid: int) -> int:
    if not pid:
        return 0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(pid: int) -> float:
    """Megabytes, resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6 if pid else 0


def _table(rows: list[tuple[str, Figures]]) -> str:
    heads = ("", "requests/s", "CPU µs/request", "p50 µs, alone", "new conn./s", "CPU s/GB",
             "event p50 ms", "RSS MB")  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, row in rows:
        cells = (f"{row.requests:,.0f}", f"{row.cpu_us:.0f}", f"{row.p50_us:.0f}", f"{row.new:,.0f}",
                 f"{row.cpu_gb:.2f}", f"{row.events_ms:.2f}", f"{row.memory_mb:.0f}")  # fmt: skip
        lines.append("| " + " | ".join((name, *cells)) + " |")
    ours = dict(rows)["moat"]
    for name, row in rows:
        if name.startswith(("squid", "mitm")):
            lines.append(
                f"\nAgainst {name}: {ours.requests / row.requests:.2f} x the requests, "
                f"{ours.new / row.new:.2f} x the new connections, "
                f"{ours.cpu_gb / row.cpu_gb:.2f} x the CPU per GB."
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
