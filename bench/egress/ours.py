"""Moat's proxy alone, as a run has it, with policy, record and audit log, on a loopback address."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import time
from pathlib import Path

import uvloop

from moat.audit.run_log import RunLog
from moat.egress.authorization.held import HeldCredential
from moat.egress.gateway import RunGateway
from moat.egress.tls.ca import CertificateAuthority
from moat.paths import RunFolder
from moat.spec import Grant, Injection
from moat.spec.network import Network
from moat.supervisor.audit import BATCH_S


class TwoTokens:
    """The part of the supervisor that has the credentials."""

    def __init__(self) -> None:
        self._held = {name: HeldCredential({"token": f"{name}_{'s3cret' * 6}"}) for name in TOKENS}

    def exists(self, _: Grant) -> bool:
        return True

    def held(self, grant: Grant) -> HeldCredential:
        return self._held[grant.provider]

    async def fetch(self, grant: Grant, _: HeldCredential | None) -> HeldCredential:
        return self.held(grant)


TOKENS = ("one", "other")


def grants(ports: list[str]) -> list[Grant]:
    """Return a grant that all requests of the benchmark use, and one for another host."""
    numbers = tuple(map(int, ports))
    return [
        Grant(provider=name, injections=(Injection(hosts=(host,), ports=numbers),))
        for name, host in zip(TOKENS, ("localhost", "*.example.com"), strict=True)
    ]


def audit(gateway: RunGateway, folder: RunFolder, loop: asyncio.AbstractEventLoop) -> None:
    """Keep an audit log, as a supervisor does."""
    folder.spec.write_text("{}")
    log = RunLog(folder, {}, folder.root, time.time)
    assert log.open()

    def final(rows: list[tuple[object, ...]]) -> None:
        if log.requests(rows):
            loop.call_soon_threadsafe(loop.call_later, BATCH_S, log.end_batch)

    gateway.traffic.on_final = final
    gateway.reporter.audit_problem = lambda: log.problem


async def main(folder: Path, address: str, roots: str, granted: str, ports: list[str]) -> None:
    loop = asyncio.get_running_loop()

    async def listen(_family: str, kind: str, _address: str, port: int) -> int:
        if kind == "udp":  # only the proxy's own port is needed
            raise OSError(errno.EAFNOSUPPORT, "not here")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(1024)
        return sock.detach()

    network = Network(
        rules=(
            "deny POST localhost/never/**",
            "allow *.example.com",
            *(f"allow localhost:{port}" for port in ports),
        ),
        hosts={"localhost": "127.0.0.1"},
        private=("127.0.0.0/8",),
        upstream_ca=roots,
    )
    async with asyncio.TaskGroup() as tasks:
        authority = CertificateAuthority.load_or_create(folder)
        gateway = RunGateway(network, RunFolder(folder), authority, loop, tasks.create_task)
        if granted == "granted":
            gateway.grant(grants(ports), TwoTokens())
        if granted != "unaudited":
            audit(gateway, RunFolder(folder), loop)
        await gateway.open(listen)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(
        main(
            Path(sys.argv[1]),
            sys.argv[2],
            Path(sys.argv[3]).read_text(),
            *sys.argv[4:5],
            sys.argv[5:],
        )
    )
