"""Certificates, servers and clients, and what is measured with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives import serialization
from events import EVENTS
from processes import cpu, free_port, peak_memory, stop, wait_for

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from contextlib import ExitStack

HERE = Path(__file__).parent
SMALL, BLOCK, LARGE = 64, 1 << 20, 256 << 20
_cores = sorted(os.sched_getaffinity(0))
PROXY_CORE, OTHER_CORES = str(_cores[0]), ",".join(map(str, _cores[1:]))


class Contender(NamedTuple):
    name: str
    proxy: str
    """HOST:PORT; empty for no proxy."""
    roots: Path
    pid: int
    """0 if there is no process to measure."""


class Figures(NamedTuple):
    requests: float
    """Per second, over 32 connections that are kept open."""
    cpu_us: float
    """The processor time of the proxy for a request."""
    alone_us: float
    """The median duration of requests over one connection."""
    new: float
    """Connections per second, each with a TLS handshake and one request."""
    new_cpu_us: float
    """The processor time of the proxy for a new connection."""
    cpu_gb: float
    """The processor time of the proxy in seconds per GB."""
    event_ms: float
    """The median time from the server's write to the client's read."""
    memory_mb: float


class Lab:
    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.folder = folder
        self._running = running
        folder.chmod(0o755)  # squid and nginx drop root
        authority = CertificateAuthority.load_or_create(folder)
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(authority.certificate_pem)
        self._pem = folder / "server.pem"
        key, leaf = authority._leaf_key, authority._leaf("localhost")  # noqa: SLF001  for the test server
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self._pem.write_bytes(
            key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + leaf.public_bytes(pem)
        )
        self._origin, self._events = free_port(), free_port()
        self._load = folder / "load"
        subprocess.run(["go", "build", "-o", self._load, HERE / "load.go"], check=True)
        self._small, self._block = folder / "www/small", folder / "www/block"
        self._start_servers()

    @property
    def ports(self) -> tuple[int, int]:
        """The certificates of the servers."""
        return self._origin, self._events

    def measure(self, each: Contender) -> Figures:
        self._small_bodies(each, "--duration", "1s")  # warm up
        with cpu(each.pid) as many_cpu:
            many = self._small_bodies(each)
        one = self._small_bodies(each, "--clients", "1", "--duration", "2s")
        with cpu(each.pid) as new_cpu:
            new = self._small_bodies(each, "--mode", "new", "--clients", "8")
        with cpu(each.pid) as bulk_cpu:
            bulk = self._ask(each, self._origin, "/large", LARGE,
                             "--block", str(self._block), "--clients", "1")  # fmt: skip
        events = self._ask(each, self._events, "/", EVENTS, "--mode", "events", "--clients", "1")
        return Figures(
            requests=many["requests"] / many["seconds"],
            cpu_us=many_cpu() / many["requests"] * 1e6,
            alone_us=one["p50"] * 1e6,
            new=new["requests"] / new["seconds"],
            new_cpu_us=new_cpu() / new["requests"] * 1e6,
            cpu_gb=bulk_cpu() / bulk["bytes"] * 1e9,
            event_ms=events["p50"] * 1e3,
            memory_mb=peak_memory(each.pid),
        )

    def start(
        self, *command: str, port: int, address: str = "127.0.0.1", cores: str = PROXY_CORE
    ) -> int:
        """Start a server, wait until it listens, and return its process id."""
        log = self._running.enter_context((self.folder / "output.log").open("ab"))
        # In sessions of their own, so that Ctrl-C reaches only this process, which ends them in order.
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command], stdout=log, stderr=log, start_new_session=True
        )
        self._running.callback(stop, process)
        wait_for((address, port), process)
        return process.pid

    def _small_bodies(self, each: Contender, *options: str) -> dict[str, float]:
        block = ("--block", str(self._small))
        return self._ask(each, self._origin, "/small", SMALL, *block, *options)

    def _ask(
        self, each: Contender, port: int, path: str, size: int, *options: str
    ) -> dict[str, float]:
        where = ("--url", f"https://localhost:{port}{path}", "--size", str(size))
        how = ("--roots", str(each.roots), "--proxy", each.proxy, *options)
        done = subprocess.run(
            ("taskset", "-c", OTHER_CORES, str(self._load), *where, *how),
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"bench: a response through {each.name} was not as it must be")
        return json.loads(done.stdout)

    def _start_servers(self) -> None:
        www = self.folder / "www"
        www.mkdir()
        self._small.write_bytes(os.urandom(SMALL))
        self._block.write_bytes(os.urandom(BLOCK))
        (www / "large").write_bytes(self._block.read_bytes() * (LARGE // BLOCK))
        conf = self.folder / "nginx.conf"
        conf.write_text(
            f"worker_processes 1; daemon off; pid {self.folder}/nginx.pid;"
            f"error_log {self.folder}/nginx.log; events {{ worker_connections 4096; }}"
            "http { access_log off; keepalive_requests 100000000; server {"
            f"listen 127.0.0.1:{self._origin} ssl; ssl_certificate {self._pem};"
            f"ssl_certificate_key {self._pem}; root {www}; }} }}"
        )
        self.start("nginx", "-c", str(conf), port=self._origin, cores=OTHER_CORES)
        events = (sys.executable, str(HERE / "events.py"), str(self._events), str(self._pem))
        self.start(*events, port=self._events, cores=OTHER_CORES)
