"""Moat's proxy alone, as a run has it, with policy and record on, on a loopback address."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from pathlib import Path

import uvloop

from moat.egress.gateway import RunGateway
from moat.egress.tls.ca import CertificateAuthority
from moat.paths import RunFolder
from moat.spec.network import Network


async def main(folder: Path, address: str, roots: str, ports: list[str]) -> None:
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
        await gateway.open(listen)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text(), sys.argv[4:]))
