"""The cost of a run's certificates.

Run: python bench/certificates.py

Measured on two shared AMD EPYC processors with Python 3.11 and OpenSSL 3.0:

- Importing `cryptography.x509` takes 25 to 35 ms and 9 MB in addition to what the supervisor loads
  anyway. Its compiled part alone takes 5 ms and 6.5 MB of that, so certificates put together by hand
  would save 25 ms.
- An authority takes 5 to 20 ms to create and 0.1 ms to load.
- A server's certificate takes 1.2 ms, of which OpenSSL needs 0.7 to read it and its key, and 0.15 to
  sign it. Each cached one takes 20 to 22 KiB, all 512 take 11 MB.
- The host's trust store takes 26 ms and 0.8 to 2.5 MB for each list of protocols.
- A handshake takes 0.92 ms for both ends together, 0.95 with a ticket, 0.98 with two.
- A context keeps 1.05 KiB of a TLS 1.2 connection without tickets that ended well.
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
    """Return the resident memory of this process in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def ms(work: Callable[[], object], rounds: int) -> float:
    """Return the median duration in milliseconds."""
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
    import cryptography.x509  # noqa: F401, PLC0415  the import is what is measured

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
