"""A run under attack from its inside: the servers it may reach, one that it may not, and the attacks.

The programs in `hostile/` run in the sandbox; tests say what they do and look at what came of it, here
and there. One run stands many attacks, as a hostile program would try them.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import TIMEOUT_S, Family, Moat
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from tests.e2e.container_engines import ContainerEngine

HOSTILE = Path(__file__).with_name("hostile")
ATTACK_S = 250.0
PROXY = 3128
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What is said to a server, byte for byte. It is over with so many answers, or as it ends."""

    host: str
    port: int
    pieces: Sequence[bytes]
    pause: float = 0.0
    """Seconds before each piece."""
    opening: Sequence[bytes] = ()
    """Sent first, each awaiting an answer: CONNECT, SOCKS."""
    sni: str | None = None
    alpn: str = ""
    tls: bool = False
    answers: int = 1
    until: bytes = b""
    """What ends it, too, where something is given, once it was heard so many `times`."""
    times: int = 1
    finishes: bool = False
    """Sends no more after the last piece, and says so."""

    def as_json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "pieces": [piece.decode("latin-1") for piece in self.pieces],
            "pause": self.pause,
            "opening": [piece.decode("latin-1") for piece in self.opening],
            "tls": {"sni": self.sni, "alpn": self.alpn} if self.tls else None,
            "answers": self.answers,
            "until": self.until.decode("latin-1"),
            "times": self.times,
            "finishes": self.finishes,
        }


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a conversation."""

    received: bytes
    ended: str
    """answered, refused, eof, reset, silence (which is always wrong), `tls: ...`, `refused: ...`"""

    @property
    def statuses(self) -> list[int]:
        """Of the responses, in their order."""
        return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.received)]

    @property
    def denial(self) -> str:
        found = re.search(rb"\r\nX-Moat-Denied: ([^\r]*)\r\n", self.received)
        return found[1].decode() if found else ""


class Bystander:
    """A service of the host that no sandbox may reach: TCP and UDP, all its addresses."""

    def __init__(self) -> None:
        while True:
            self._stream, self._datagrams = _listener(), _datagrams()
            self.port: int = self._stream.getsockname()[1]
            try:
                self._datagrams.bind(("", self.port))
            except OSError:  # another process has this port of UDP
                self.close()
            else:
                return

    def reached(self) -> list[str]:
        """By whom."""
        callers: list[str] = []
        for sock, take in ((self._stream, _accept), (self._datagrams, _receive)):
            sock.setblocking(False)
            try:
                while True:
                    callers.append(take(sock))
            except BlockingIOError:
                continue
        return callers

    def close(self) -> None:
        self._stream.close()
        self._datagrams.close()


def _listener() -> socket.socket:
    return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)


def _datagrams() -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return sock


def _accept(sock: socket.socket) -> str:
    connection, caller = sock.accept()
    connection.close()
    return f"tcp from {caller}"


def _receive(sock: socket.socket) -> str:
    return f"udp from {sock.recvfrom(4096)[1]}"


@dataclass
class Attacked:
    """A run `x`, whose command does nothing; what attacks is started in its sandbox."""

    moat: Moat
    plain: Origin
    """plain.test"""
    secure: Origin
    """origin.test, by TLS"""
    bystander: Bystander
    heard: dict[str, Heard] = field(default_factory=dict)
    _marks: Iterator[int] = field(default_factory=itertools.count)

    def program(
        self, name: str, *arguments: object, run: str = "x", timeout: float = ATTACK_S
    ) -> str:
        """Runs `hostile/NAME` in the sandbox; what it prints."""
        shutil.copy(HOSTILE / name, self.moat.workspace)
        words = map(str, arguments)
        return self.moat.ok("exec", run, "--", "python3", name, *words, timeout=timeout)

    def converse(
        self, conversations: Mapping[str, Conversation], run: str = "x"
    ) -> dict[str, Heard]:
        folder = self.moat.workspace
        said = {name: each.as_json() for name, each in conversations.items()}
        (folder / "conversations.json").write_text(json.dumps(said))
        self.program("speak.py", "conversations.json", "heard.json", run=run)
        results = json.loads((folder / "heard.json").read_text())
        self.heard = {
            name: Heard(each["received"].encode("latin-1"), each["ended"])
            for name, each in results.items()
        }
        return self.heard

    def trace(self, *options: str, run: str = "x") -> list[dict[str, Any]]:
        """What is in the record, which is written a moment after it has happened.

        So something more is done that the record shows: all before that is in it, too.
        """
        mark = f"mark-{next(self._marks)}.test"
        look_up = f"import socket\ntry: socket.gethostbyname({mark!r})\nexcept OSError: pass"
        self.moat.ok("exec", run, "--", "python3", "-c", look_up)
        deadline = time.monotonic() + TIMEOUT_S
        while not self._recorded(run, "--host", mark):
            assert time.monotonic() < deadline, "what is asked is not recorded"
        return [row for row in self._recorded(run, *options) if row["host"] != mark]

    def _recorded(self, run: str, *options: str) -> list[dict[str, Any]]:
        lines = self.moat.ok("trace", run, "--json", *options).splitlines()
        return [json.loads(line) for line in lines]

    def reached(self, mark: bytes) -> list[bytes]:
        """Heads with this mark that got as far as a server."""
        heads = [*self.plain.heads, *self.secure.heads]
        return [head for head in heads if mark in head]

    def log(self) -> str:
        """The supervisor's own."""
        run = self.moat.inspect("x")["id"]
        return (self.moat.home / "runs" / run / "supervisor.log").read_text()

    def most_memory(self) -> float:
        """MB that the supervisor has ever had in use (VmHWM)."""
        status = Path(f"/proc/{self.moat.supervisor('x')}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


@contextmanager
def attacked(
    network: str, engine: ContainerEngine | None = None, **environment: str
) -> Generator[Attacked]:
    """`network`: lines of the same in the user's settings; PLAIN, SECURE and BYSTANDER are the ports.

    `environment` is the supervisor's, too.
    """
    folder = Path(tempfile.mkdtemp(prefix="m-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        moat = Moat(folder / "home", engine)
        authority = CertificateAuthority.load_or_create(folder)
        plain = stack.enter_context(Origin())
        secure = stack.enter_context(Origin(authority.context("origin.test", ("http/1.1",))))
        bystander = Bystander()
        stack.callback(bystander.close)
        (moat.workspace / "ca.pem").write_bytes(authority.certificate_pem)
        for word, port in (
            ("PLAIN", plain.port),
            ("SECURE", secure.port),
            ("BYSTANDER", bystander.port),
        ):
            network = network.replace(word, str(port))
        moat.write_settings(f"network:\n  upstream_ca: {moat.workspace}/ca.pem\n{network}")
        stack.callback(_end, moat)
        moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity", **environment)
        yield Attacked(moat, plain, secure, bystander)


def _end(moat: Moat) -> None:
    family = Family(moat.home)
    try:
        for run in moat.runs():
            moat.ok("destroy", "--force", run["id"])
        survivors = family.survivors()
    finally:
        family.kill()
    assert not survivors, f"left behind by the runs of this test: {survivors}"
