"""The files of the page, and the fields that they are served with."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from moat.web import page_files
from moat.web.page_files import PageFiles, security_fields

FOLDER = Path(page_files.__file__).with_name("page")
ORIGIN = "http://moat-x.localhost:8090"
# What scripts/xterm.sh brings: @xterm/xterm 6.0.0 and @xterm/addon-fit 0.11.0, with their licences.
VENDORED = {
    "LICENSE.txt": "d688cb859d53f0a25035a325b2078e93460a39b16def7626615901076527ac40",
    "addon-fit.mjs": "aa22c5f28e4d64118ac0e7d60276b3384188e59dd104c96e43760d6e2cedd771",
    "xterm.css": "854a7c0fb70e8b1a083c16797ab827299fb18744f5ad34f227b48337e33293c6",
    "xterm.mjs": "3fd3d0046d2604ea5860235e2f96625a2fab158dcf3d4cfb0f7c1655559a5d9a",
}


def test_what_is_not_ours_is_what_it_was() -> None:
    """Nobody has changed it by hand; hint: scripts/xterm.sh, then the sums here."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (FOLDER / "vendor" / "xterm").iterdir()
    }
    assert found == VENDORED


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_scripts_make_no_markup_of_text(path: Path) -> None:
    """They make elements and text, load nothing from elsewhere, and can be read in one sitting."""
    text = path.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", text
    )
    assert not re.search(r"from \"(?!\./)", text)
    assert text.startswith("// ")
    assert len(text.splitlines()) < 300


def test_the_page_holds_no_script_and_no_style() -> None:
    """The policy would refuse them."""
    text = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(.*?)</script>", text) == [' type="module" src="/main.js">']
    assert re.findall(r"<style(.*?)</style>", text) == [' nonce="NONCE">']
    assert not re.search(r'\s(?:style|on\w+)="', text)


def test_every_response_has_a_number_of_its_own() -> None:
    """The page carries it, its policy names it, and nothing else has it."""
    files = PageFiles(ORIGIN)
    numbers: set[str] = set()
    for _ in range(2):
        found = files.get("/")
        assert found is not None
        fields, content = dict(found[0]), found[1].decode()
        [number] = re.findall(r'nonce="([^"]+)"', content)
        assert f"'nonce-{number}'" in fields["Content-Security-Policy"]
        numbers.add(number)
    assert len(numbers) == 2


def test_files_have_their_types() -> None:
    """Browsers are told not to guess."""
    files = PageFiles(ORIGIN)
    for path, kind in (
        ("/main.js", "text/javascript"),
        ("/vendor/xterm/xterm.mjs", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
        ("/vendor/xterm/LICENSE.txt", "text/plain"),
    ):
        found = files.get(path)
        assert found is not None
        assert dict(found[0])["Content-Type"].startswith(kind)
        assert dict(found[0])["X-Content-Type-Options"] == "nosniff"
    assert files.get("/index.html") is None
    assert files.get("/../__init__.py") is None


def test_the_policy() -> None:
    """Nothing is allowed that the page doesn't do."""
    policy = dict(security_fields(ORIGIN, "n"))["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "*" not in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "ws://moat-x.localhost:8090"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["trusted-types"] == "'none'"
