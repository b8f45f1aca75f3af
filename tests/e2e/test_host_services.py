"""The host's own services, from inside of real runs."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import ON_EVERY_ENGINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat

ASK = """\
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        print(sock.recv(100).decode() or "closed")
except OSError as exc:
    print(type(exc).__name__)
"""


@contextmanager
def service(address: str = "127.0.0.1") -> Iterator[int]:
    """A server of this machine that repeats what it is told; its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    sock.sendall(b"host got " + sock.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def asked(moat: Moat, host: str, port: int, *options: str) -> str:
    """What a run with these options is told at a place."""
    (moat.workspace / "ask.py").write_text(ASK)
    words = ("--", "python3", "ask.py", host, str(port))
    return moat.ok("run", "-n", "x", *options, *words).strip()


def trace(moat: Moat) -> list[dict[str, Any]]:
    return [json.loads(line) for line in moat.ok("trace", "x", "--json").splitlines()]


@ON_EVERY_ENGINE
@pytest.mark.parametrize("policy", ["permissive", "strict"])
def test_a_listed_service_is_reached_and_recorded(moat: Moat, policy: str) -> None:
    """By the host's name, on every engine and under every policy."""
    with service() as port:
        options = ("--host-port", str(port), "--network-policy", policy)
        assert asked(moat, "host.moat", port, *options) == "host got hello"
    (entry,) = [each for each in trace(moat) if each["scheme"] == "tcp"]
    assert (entry["host"], entry["port"]) == ("host.moat", port)
    assert entry["rule"] == f"host {port}"
    assert entry["address"] == "127.0.0.1"


def test_a_service_may_listen_on_ipv6(moat: Moat) -> None:
    """The loopback has two families."""
    with service("::1") as port:
        assert asked(moat, "host.moat", port, "--host-port", str(port)) == "host got hello"


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("host.moat", ()),
        ("host.moat", ("--allow", "host.moat:{port}")),
        ("host.moat", ("--host-port", "1")),
        ("127.0.0.1", ("--host-port", "{port}")),
        ("host.moat", ("--host-port", "{port}", "--deny", "host.moat")),
    ],
)
def test_nothing_else_of_the_host_is_reached(
    moat: Moat, host: str, options: tuple[str, ...]
) -> None:
    """Not by a rule, not by another service's listing, not by its address."""
    with service() as port:
        words = [each.format(port=port) for each in options]
        assert "got" not in asked(moat, host, port, *words)


def test_the_variable_and_the_denial_say_what_to_do(moat: Moat) -> None:
    """A named service has a variable; a port that isn't listed is answered with the option."""
    with service() as port:
        script = "echo $MOAT_HOST_MCP; curl -s http://host.moat/"
        words = ("run", "-n", "x", "--host-port", f"mcp:{port}", "--", "sh", "-c", script)
        said = moat.ok(*words).splitlines()
        assert said[0] == f"host.moat:{port}"
        assert "network.host lists no port 80 of this machine" in said[1]
        assert "moat run --host-port 80" in said[1]
    assert f"host.moat:{port} is port {port} of this machine" in moat.ok("policy", "x")


def test_a_project_reaches_services_with_consent(moat: Moat) -> None:
    """It opens what your own programs trust to be yours."""
    with service() as port:
        (moat.workspace / "agent.yaml").write_text(f"network: {{host: [{port}]}}\n")
        done = moat("run", "-n", "x", "--", "true")
        assert done.returncode == 3
        assert f"network.host: {port}" in done.stderr
        assert asked(moat, "host.moat", port, "--trust-project") == "host got hello"
    (moat.workspace / "agent.yaml").write_text("network: {hosts: {host.moat: 10.0.0.1}}\n")
    done = moat("run", "--trust-project", "--", "true")
    assert done.returncode == 2
    assert "List its ports in network.host" in done.stderr


def test_a_rule_given_later_breaks_an_open_connection(moat: Moat) -> None:
    """As it does every other tunnel, and nobody gets there any more."""
    script = (
        "import socket, os\n"
        "sock = socket.create_connection(('host.moat', int(os.environ['MOAT_HOST_DB'][10:])), 20)\n"
        "sock.sendall(b'hello'); print('connected', flush=True)\n"
        "try: print(sock.recv(1))\n"
        "except ConnectionResetError: print('broken off', flush=True)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        words = ("--host-port", f"db:{port}", "--", "python3", "-c", script)
        moat.ok("run", "-d", "-n", "x", *words)
        moat.ok("wait", "x", "--text", "connected", "--timeout", "60")
        moat.ok("deny", "x", f"host.moat:{port}")
        moat.ok("wait", "x", "--exit")
    assert moat.ok("logs", "x").splitlines()[-1] == "broken off"
