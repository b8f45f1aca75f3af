"""Parts that tests of dialling share: a policy, a scripted resolver, and servers that greet."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.egress.addresses import own_address

from moat.egress.upstream.dialer import Dialer, DialError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from moat.egress.upstream.dialer import Address, Dialled

TINYPROXY = 8888
LOOPBACK = ("127.0.0.0/8", "::1/128")


class SomePolicy:
    """The part of a policy that concerns addresses: `network.hosts` and `network.private`."""

    def __init__(self, private: tuple[str, ...] = LOOPBACK, **hosts: str) -> None:
        self._hosts = {f"{name}.test": address for name, address in hosts.items()}
        self._named = {each for each in private if "/" not in each}
        self._networks = [ip_network(each) for each in private if "/" in each]

    def override(self, host: str) -> str | None:
        return self._hosts.get(host)

    def private(self, host: str, address: Address) -> bool:
        return host in self._named or any(address in network for network in self._networks)


class Names:
    """Stands for the host's resolver: answers come in turn, the last again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[str, ...]]] = {}
        self.asked: list[str] = []

    def __call__(self, host: bytes, *_: object, **__: object) -> list[object]:
        name = host.decode()
        self.asked.append(name)
        answers = self.answers.get(name)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, 0)) for address in answer]


@asynccontextmanager
async def server(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Greets whoever connects with its own address; yields its port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("sockname")[0].encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(greet, host, port)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


@asynccontextmanager
async def tinyproxy(folder: Path, *settings: str) -> AsyncIterator[str]:
    """A real proxy for `me:secret`, and where it is; it knows where origin.test is, and nobody else."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 origin.test\n")
    file = folder / "tinyproxy.conf"
    address = own_address()
    lines = [f"Port {TINYPROXY}", f"Listen {address}", "BasicAuth me secret", *settings]
    file.write_text("\n".join([*lines, ""]))
    process = await asyncio.create_subprocess_exec(
        *("bwrap", "--dev-bind", "/", "/", "--ro-bind", str(hosts), "/etc/hosts"),
        *("--die-with-parent", "tinyproxy", "-d", "-c", str(file)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if b"Accepting connections" in line:
            break
    yield f"{address}:{TINYPROXY}"
    process.terminate()
    await process.communicate()


async def greeting(dialled: Dialled) -> str:
    """Who answers; the connection is used as the proxy uses it, and closed."""
    reader, writer = await asyncio.open_connection(sock=dialled.sock)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.decode().rstrip()


async def refused(subject: Dialer, host: str, port: int = 443) -> DialError:
    with pytest.raises(DialError) as info:
        await subject.dial(host, port)
    text = str(info.value)
    assert text.isprintable()
    assert host in text
    return info.value


def self_signed(folder: Path, *names: x509.GeneralName) -> tuple[ssl.SSLContext, str]:
    """A server's context and the certificate to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a proxy")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path = folder / "proxy.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + pem
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context, pem.decode("ascii")
