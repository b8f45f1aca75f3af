"""What the certificates of a run cost.

Run: python bench/certificates.py

On two AMD EPYC processors that others use, too, Python 3.11, OpenSSL 3.0:

- `cryptography.x509`: 25 to 35 ms and 9 MB beside what the supervisor loads anyway; its compiled part
  alone is 5 ms and 6.5 MB of that, so certificates put together by hand would save 25 ms.
- An authority: 5 to 20 ms for a new one, 0.1 for one that is there.
- A server's certificate: 1.2 ms, of which OpenSSL takes 0.7 to read it and its key, and signing 0.15;
  20 to 22 KiB for each that is kept, 11 MB for all 512.
- The host's trust store: 26 ms and 0.8 to 2.5 MB for each list of protocols.
- A handshake, both ends together: 0.92 ms without a ticket, 0.95 with one, 0.98 with two.
- What a context remembers of a TLS 1.2 connection without tickets that ended well: 1.05 KiB.
"""

from __future__ import annotations

import ssl
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 512


def resident() -> int:
    """KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def ms(work: Callable[[], object], rounds: int) -> float:
    """Median."""
    taken: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="origin.test"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def main() -> None:
    before, begun = resident(), time.perf_counter()
    import cryptography.x509  # noqa: F401, PLC0415  what it costs is the question

    taken = 1000 * (time.perf_counter() - begun)
    print(f"cryptography.x509, with what it needs   {taken:8.1f} ms {resident() - before:6} KiB")

    from moat.egress.tls.ca import CertificateAuthority  # noqa: PLC0415  as above
    from moat.egress.tls.trust import upstream_context  # noqa: PLC0415  as above

    with tempfile.TemporaryDirectory() as folder:
        create = ms(lambda: CertificateAuthority.load_or_create(Path(folder)), 1)
        print(f"authority, new                          {create:8.1f} ms")
        load = ms(lambda: CertificateAuthority.load_or_create(Path(folder)), 20)
        print(f"authority, there already                {load:8.2f} ms")
        authority = CertificateAuthority.load_or_create(Path(folder))

    kept: list[ssl.SSLContext] = []
    before = resident()
    mint = ms(lambda: kept.append(authority.context(f"h{len(kept)}.test")), KEPT)
    each = (resident() - before) / KEPT
    print(f"a server's certificate                  {mint:8.2f} ms {each:6.1f} KiB")

    before = resident()
    store = ms(lambda: upstream_context("", ("h2", "http/1.1")), 1)
    print(f"the host's trust store                  {store:8.1f} ms {resident() - before:6} KiB")

    client = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    for tickets in range(3):
        server = authority.context("origin.test")
        server.num_tickets = tickets
        both = ms(lambda server=server: handshake(client, server), 500)
        print(f"a handshake with {tickets} tickets, both ends    {both:8.2f} ms")


if __name__ == "__main__":
    main()
