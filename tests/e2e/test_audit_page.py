"""The page that verifies bundles, in a real browser without a network."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

import pytest
from tests.audit.test_bundles import BUNDLES, FOLDER
from tests.e2e.chromium import Chromium

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat

VERDICTS: Final = json.loads((FOLDER / "verdicts.json").read_text())
_NO_NETWORK: Final = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9")


@pytest.fixture
def page(moat: Moat, tmp_path: Path) -> Iterator[Chromium]:
    """The page as `moat audit page` has written it, opened from the disk."""
    path = tmp_path / "verifier.html"
    moat.ok("audit", "page", "-o", path)
    with Chromium(*_NO_NETWORK) as browser:
        browser.open(path.as_uri())
        yield browser


def verdict(page: Chromium, bundle: Path) -> tuple[str, str]:
    """Return the class and the text of the verdict on a bundle."""
    page.type("#bundle", bundle)
    page.click("#verify")
    text = page.until("#verdict", "^(?!verifying)[^]")
    return page.script("return document.getElementById('verdict').className"), text


def own(moat: Moat, bundle: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """What `moat audit verify` says of it."""
    return moat("audit", "verify", bundle, *options)


def test_every_vector_gets_moats_own_verdict(moat: Moat, page: Chromium) -> None:
    """Genuine and forged ones alike, in the same words; and nothing was asked of anybody."""
    page.type("#keys", VERDICTS["key"])
    for bundle in BUNDLES:
        done = own(moat, bundle, "--key", VERDICTS["key"])
        kind, text = verdict(page, bundle)
        assert text.splitlines() == done.stdout.splitlines(), bundle.stem
        assert (kind == "genuine") == (done.returncode == 0)
    assert page.script("return performance.getEntriesByType('resource').length") == 0
    assert page.log() == []


def test_witnesses_and_kept_checkpoints(moat: Moat, page: Chromium, tmp_path: Path) -> None:
    """A witness that must have seen the log, and a checkpoint of another history."""
    page.type("#witnesses", VERDICTS["witness"])
    for name in ("witnessed", "forged-cosignature", "genuine"):
        bundle = FOLDER / f"{name}.bundle"
        _, text = verdict(page, bundle)
        done = own(moat, bundle, "--witness", VERDICTS["witness"])
        assert text.splitlines() == done.stdout.splitlines(), name
    moat.ok("run", "-n", "x", "--", "true")
    moat.ok("audit", "export", "x", "-o", tmp_path / "other")
    lines = (tmp_path / "other").read_bytes().splitlines()
    signed = next(each for each in lines if each.startswith(b"checkpoint "))
    (tmp_path / "note").write_bytes(base64.b64decode(signed.removeprefix(b"checkpoint ")))
    page.type("#held", tmp_path / "note")
    _, text = verdict(page, FOLDER / "witnessed.bundle")
    options = ("--witness", VERDICTS["witness"], "--checkpoint", tmp_path / "note")
    done = own(moat, FOLDER / "witnessed.bundle", *options)
    assert text.splitlines() == done.stdout.splitlines()
    assert text.startswith("NOT GENUINE: ")


def test_a_real_run_with_its_keys(moat: Moat, page: Chromium, tmp_path: Path) -> None:
    """The keys as `moat audit key show --json` prints them; and another key is not taken for ours."""
    moat.ok("run", "-n", "x", "--", "bash", "-c", "echo höllo")
    bundle = tmp_path / "x.bundle"
    moat.ok("audit", "export", "x", "-o", bundle)
    page.type("#keys", moat.ok("audit", "key", "show", "--json"))
    kind, text = verdict(page, bundle)
    assert kind == "genuine"
    assert "that key is the one that you named" in text
    page.clear("#keys")
    page.type("#keys", VERDICTS["key"])
    kind, text = verdict(page, bundle)
    assert kind == "forged"
    assert text.splitlines() == own(moat, bundle, "--key", VERDICTS["key"]).stdout.splitlines()


def test_what_can_not_be_read(page: Chromium, tmp_path: Path) -> None:
    """A picture is no bundle, and a word no key. What it says can't act on the page."""
    file = tmp_path / "x"
    file.write_bytes(b"\x89PNG\r\n<img src=x onerror=alert(1)>")
    kind, text = verdict(page, file)
    assert kind == "unreadable"
    assert "it is no audit log" in text
    page.type("#keys", "<b>\u202eword</b>")
    kind, text = verdict(page, file)
    assert text == (
        "it can't be verified: <b>\\u{202e}word</b> is no public key: it has 64 hexadecimal digits"
    )
    assert page.script("return document.querySelectorAll('#verdict *').length") == 0


def test_nothing_can_be_sent_from_the_page(page: Chromium) -> None:
    """Its policy allows its own script alone, and no connection, even to a server that is there."""
    refused = page.waiting_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (each) => done(each.violatedDirective));"
        "fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    assert refused == "connect-src"
