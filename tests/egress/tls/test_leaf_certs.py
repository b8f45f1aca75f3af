from __future__ import annotations

import asyncio
import gc
import itertools
import ssl
import threading
import time
from typing import TYPE_CHECKING, cast

import pytest
from tests.egress.handshakes import handshake, trusting

from moat.egress.tls import leaf_certs
from moat.egress.tls.ca import CertificateAuthority
from moat.egress.tls.leaf_certs import (
    BURST,
    LIFETIME_S,
    LIMIT,
    MAX_PENDING,
    RATE,
    USES,
    LeafCertificates,
    TooManyNamesError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Slow(CertificateAuthority):
    """An authority that reports what it makes, and waits for the test."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.proceed = threading.Event()
        self.failing: Exception | None = None

    def context(self, host: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        self.made.append(host)
        assert self.proceed.wait(120)
        if self.failing is not None:
            raise self.failing
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def quick(slow: Slow) -> LeafCertificates:
    """Return certificates that are made at once, at any rate."""
    slow.proceed.set()
    hours = itertools.count(step=3600)
    return LeafCertificates(slow, asyncio.get_running_loop(), lambda: float(next(hours)))


async def test_a_host_gets_its_certificate(tmp_path: Path) -> None:
    """A client that trusts the authority believes that it is the host."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    subject = LeafCertificates(authority, asyncio.get_running_loop())
    assert subject.get("origin.test") is None
    context = await subject.context("origin.test")
    assert subject.get("origin.test") is context
    handshake(trusting(authority.certificate_pem), context, "origin.test")


async def test_all_who_wait_for_a_host_get_one(slow: Slow) -> None:
    """It is made once, and the loop goes on meanwhile."""
    subject = LeafCertificates(slow, asyncio.get_running_loop())
    waiting = [asyncio.create_task(subject.context("a.test")) for _ in range(20)]
    await asyncio.sleep(0)
    assert subject.get("a.test") is None
    slow.proceed.set()
    assert len(set(await asyncio.gather(*waiting))) == 1
    assert slow.made == ["a.test"]


class ByHand:
    """Of a loop, what `LeafCertificates` needs; the thread is done when the test says so."""

    def __init__(self) -> None:
        self.minted: list[asyncio.Future[ssl.SSLContext]] = []
        self.create_future = asyncio.get_running_loop().create_future

    def run_in_executor(self, *_: object) -> asyncio.Future[ssl.SSLContext]:
        self.minted.append(self.create_future())
        return self.minted[-1]


async def test_who_comes_just_when_it_is_made_gets_it(slow: Slow) -> None:
    """Between the thread's end and the loop's notice of it: nobody spins, nobody makes another."""
    loop = ByHand()
    subject = LeafCertificates(slow, cast("asyncio.AbstractEventLoop", loop))
    early = asyncio.create_task(subject.context("a.test"))
    await asyncio.sleep(0)
    late = asyncio.create_task(subject.context("a.test"))
    [minted] = loop.minted
    minted.set_result(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert await early is await late is minted.result()
    assert len(loop.minted) == 1


async def test_who_gives_up_takes_it_from_nobody(slow: Slow) -> None:
    """Other callers still wait for the same certificate."""
    subject = LeafCertificates(slow, asyncio.get_running_loop())
    one, other = (asyncio.create_task(subject.context("a.test")) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    slow.proceed.set()
    assert isinstance(await other, ssl.SSLContext)
    assert one.cancelled()
    assert slow.made == ["a.test"]


async def test_a_failure_is_told_and_not_kept(slow: Slow) -> None:
    """The next connection tries again."""
    subject = LeafCertificates(slow, asyncio.get_running_loop())
    slow.proceed.set()
    slow.failing = OSError("no descriptors")
    with pytest.raises(OSError, match="no descriptors"):
        await subject.context("a.test")
    slow.failing = None
    assert isinstance(await subject.context("a.test"), ssl.SSLContext)


async def test_a_failure_that_nobody_waits_for_is_no_matter(slow: Slow) -> None:
    """No exception is left unretrieved, and the next request makes the certificate again."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, each: complaints.append(each))
    loop = ByHand()
    subject = LeafCertificates(slow, cast("asyncio.AbstractEventLoop", loop))
    waiting = asyncio.create_task(subject.context("a.test"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    loop.minted[0].set_exception(OSError("no descriptors"))
    await asyncio.sleep(0)
    gc.collect()
    assert not complaints
    again = asyncio.create_task(subject.context("a.test"))
    await asyncio.sleep(0)
    loop.minted[1].set_result(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert await again


async def test_too_many_names_are_refused(slow: Slow) -> None:
    """A flood of names piles up no work, and earlier requests are served."""
    subject = LeafCertificates(slow, asyncio.get_running_loop())
    waiting = [
        asyncio.create_task(subject.context(f"h{number}.test")) for number in range(MAX_PENDING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooManyNamesError, match=f"for {MAX_PENDING} others"):
        await subject.context("one-more.test")
    same = asyncio.create_task(subject.context("h0.test"))
    slow.proceed.set()
    await asyncio.gather(waiting[0], same)
    assert await subject.context("one-more.test")
    for each in waiting:
        each.cancel()


class Turns(ByHand):
    """A loop whose timers go off when the test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.hosts: list[str] = []
        self._timers: list[tuple[float, Callable[[str], None], str]] = []

    def clock(self) -> float:
        return self.now

    def run_in_executor(self, *given: object) -> asyncio.Future[ssl.SSLContext]:
        self.hosts.append(str(given[-1]))
        return super().run_in_executor(*given)

    def call_later(self, delay: float, mint: Callable[[str], None], host: str) -> None:
        self._timers.append((self.now + delay, mint, host))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self._timers if each[0] <= self.now + 1e-6]
        self._timers = [each for each in self._timers if each not in due]
        for _, mint, host in due:
            mint(host)


async def test_after_a_burst_certificates_are_made_at_a_rate(slow: Slow) -> None:
    """However many names a program asks for, each is made in its turn and costs no more than that."""
    loop = Turns()
    subject = LeafCertificates(slow, cast("asyncio.AbstractEventLoop", loop), loop.clock)
    names = [f"h{number}.test" for number in range(MAX_PENDING)]
    waiting = [asyncio.create_task(subject.context(name)) for name in names]
    await asyncio.sleep(0)
    assert loop.hosts == names[:BURST]
    loop.pass_time(3.01 / RATE)
    assert loop.hosts == names[: BURST + 3]
    loop.pass_time((len(names) - BURST) / RATE)
    assert loop.hosts == names
    for minted in loop.minted:
        minted.set_result(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    await asyncio.gather(*waiting)
    loop.pass_time(BURST / RATE)
    later = [asyncio.create_task(subject.context(f"l{number}.test")) for number in range(BURST)]
    await asyncio.sleep(0)
    assert len(loop.hosts) == len(names) + BURST, "a quiet time makes room for another burst"
    for each in later:
        each.cancel()


async def test_the_one_used_longest_ago_goes(quick: LeafCertificates) -> None:
    """Memory is bounded whatever names are asked for."""
    first = await quick.context("first.test")
    for number in range(LIMIT - 1):
        await quick.context(f"h{number}.test")
    assert quick.get("first.test") is first
    await quick.context("one-more.test")
    assert quick.get("first.test") is first
    assert quick.get("h0.test") is None


async def test_a_context_serves_a_number_of_connections(
    quick: LeafCertificates, slow: Slow
) -> None:
    """OpenSSL's session cache goes away with the context, however many connections there are."""
    contexts = await asyncio.gather(*(quick.context("a.test") for _ in range(2 * USES + 1)))
    assert [contexts.count(each) for each in dict.fromkeys(contexts)] == [USES, USES, 1]
    assert slow.made == ["a.test"] * 3


async def test_a_certificate_is_renewed_long_before_it_ends(
    quick: LeafCertificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs live for months, too."""
    context = await quick.context("a.test")
    now = time.time()
    monkeypatch.setattr(leaf_certs.time, "time", lambda: now + LIFETIME_S - 60)
    assert quick.get("a.test") is context
    monkeypatch.setattr(leaf_certs.time, "time", lambda: now + LIFETIME_S + 60)
    assert await quick.context("a.test") is not context
