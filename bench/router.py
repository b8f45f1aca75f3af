"""The router's part of a request's time: the same server asked at its published port and by its name.

Both are asked in turns over connections that are kept, 2,000 times each, by a client that waits for each
answer. Prints the median and the 99th percentile of both, and what the router adds to the median.

    .venv/installed/bin/python bench/router.py
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 20
REQUESTS = 100
"""In a row, before the other's turn."""
SERVER = """\
import socket, threading
def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while sock.recv(65536):
        sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
listener = socket.create_server(("127.0.0.1", 3000))
print("listens", flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="mb-"))
    home, work = folder / "home", folder / "work"
    home.mkdir(mode=0o700)
    work.mkdir()
    (home / "config.yaml").write_text("router: {port: 0}\n")
    (work / "server.py").write_text(SERVER)
    environment = os.environ | {"MOAT_HOME": str(home)}

    def moat(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("moat")), *words]
        done = subprocess.run(
            command, env=environment, cwd=work, capture_output=True, text=True, check=True
        )
        return done.stdout

    try:
        moat("run", "-d", "-n", "x", "-p", "web=3000", "--", "python3", "server.py")
        moat("wait", "x", "--text", "listens")
        (port,) = json.loads(moat("port", "x", "--json"))
        direct = asking(port["host_port"], f"127.0.0.1:{port['host_port']}")
        host = port["routed_url"].removeprefix("http://")
        routed = asking(int(host.rpartition(":")[2]), host)
        times: dict[str, list[float]] = {"direct": [], "routed": []}
        for _ in range(ROUNDS):
            for name, each in (("direct", direct), ("routed", routed)):
                times[name] += [next(each) for _ in range(REQUESTS)]
        report(times)
    finally:
        moat("destroy", "--force", "x")
        moat("router", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def asking(port: int, host: str) -> Iterator[float]:
    """Yield the microseconds of one request after the other on a connection that is kept."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            begun = time.perf_counter_ns()
            sock.sendall(request)
            answer = sock.recv(65536)
            assert answer.endswith(b"ok"), answer
            yield (time.perf_counter_ns() - begun) / 1000


def report(times: dict[str, list[float]]) -> None:
    medians = {}
    for name, found in times.items():
        percentiles = statistics.quantiles(found, n=100)
        medians[name] = percentiles[49]
        print(f"{name}: p50 {percentiles[49]:.0f} µs, p99 {percentiles[98]:.0f} µs")
    added = medians["routed"] - medians["direct"]
    print(
        f"the router adds {added:.0f} µs: {medians['routed'] / medians['direct']:.2f} times as long"
    )


if __name__ == "__main__":
    main()
