"""`moat web` in a real Chromium, over real runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.e2e.browser import KEYS, Browser
from tests.e2e.web import WebPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat

SCREEN = ".xterm-rows"
ENTER = KEYS["Enter"]
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"


@pytest.fixture
def page(moat: Moat) -> Iterator[WebPage]:
    with WebPage(moat) as server:
        yield server


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """In the end nothing of the page was refused by its own policy, and no script has failed."""
    with Browser(tmp_path / "browser") as window:
        yield window
        assert window.complaints() == []


@pytest.fixture
def shell(moat: Moat) -> Callable[..., str]:
    """`shell("name", "script")`: a run of it in a terminal that one may type in."""

    def start(name: str, script: str, *options: str) -> str:
        moat.ok("run", "-d", "-i", "-t", "-n", name, *options, "--", "sh", "-c", script)
        return moat.inspect(name)["id"]

    return start


def open_run(browser: Browser, page: WebPage, run: str) -> None:
    """Opens the page, and on it a run by its row."""
    browser.open(page.url)
    browser.click(f"a[data-run='{run}']")
    browser.there(SCREEN)


def test_a_run_is_seen_and_typed_into(
    page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """From the address that was printed, whose secret doesn't stay in the browser's own."""
    run = shell("one", "echo ready; read line; echo got $line; sleep 1000")
    browser.open(page.url)
    browser.shows("ready", ".runs")
    row = browser.text(".runs tbody tr")
    assert ("one" in row, "running" in row, "sh" in row) == (True, True, True)
    assert browser.url == f"{page.origin}/"
    browser.click(f"a[data-run='{run}']")
    browser.shows("ready", SCREEN)
    browser.type(f"hello{ENTER}")
    browser.shows("got hello", SCREEN)
    assert page.token not in browser.url
    browser.open(browser.url)  # as by F5
    browser.shows("got hello", SCREEN)
    assert browser.run("return [document.cookie, Object.keys(localStorage).length]") == ["", 0]


def test_a_browser_alone_from_the_keyboard(
    moat: Moat, page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """Arrow keys and Enter to a run, the prefix and d back, Tab to what else there is."""
    shell("one", "echo first; sleep 1000")
    shell("two", "echo second; sleep 1000")
    browser.open(page.url)
    browser.shows("first")
    browser.shows("second")
    browser.press("Tab")
    browser.until(lambda: browser.run("return document.activeElement.tagName") == "A", "focus")
    browser.run("document.querySelector('.runs a').focus()")
    browser.press("Down")
    browser.press("Enter")
    browser.shows("first", SCREEN)
    browser.until(lambda: moat.inspect("one")["viewers"] == 1, "viewer")
    browser.press("Control", "/")
    browser.type("?")
    browser.shows("back to the list", ".said")
    browser.press("Control", "/")
    browser.type("d")
    browser.shows("second", ".runs")
    browser.until(lambda: moat.inspect("one")["viewers"] == 0, "end of the viewer")


def test_the_size_is_that_of_the_page_that_leads(
    page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """As of any viewer: one that types leads, one that only looks doesn't."""
    run = shell("one", "trap 'echo size $(stty size).' WINCH; while true; do sleep 0.05; done")
    open_run(browser, page, run)
    browser.shows("size ", SCREEN)
    first = size_of(browser)
    assert first[0] > 10
    with page.viewer(run, columns=50, rows=11, read_only=True) as watching:
        watching.next_message("shown")
        browser.resize(700, 600)
        browser.until(lambda: size_of(browser)[1] < first[1], "smaller terminal")
        with page.viewer(run, columns=44, rows=10) as other:
            other.next_message("shown")
            other.connection.send(b"x")
            browser.shows("size 10 44.", SCREEN)


def size_of(browser: Browser) -> tuple[int, int]:
    """Rows and columns, as the program has said them last."""
    found = re.findall(r"size (\d+) (\d+)\.", browser.text(SCREEN))
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def test_the_network_is_seen_as_it_happens(
    page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """Requests of the past at once, and each of the future when it comes."""
    fetch = "curl -sS -o /dev/null -w '%{http_code}' http://host.test"
    run = shell("one", f"{fetch}/earlier; while read p; do {fetch}/$p; done", "--deny", "host.test")
    open_run(browser, page, run)
    browser.shows("403", SCREEN)
    browser.click("[aria-expanded]")
    browser.shows("GET http://host.test/earlier", ".traffic")
    assert "later" not in browser.text(".traffic tr:last-child").replace("earlier", "")
    browser.click(".screen")
    browser.type(f"later{ENTER}")
    browser.shows("GET http://host.test/later", ".traffic")
    browser.shows("deny host.test", ".traffic")


def test_what_a_run_asks_is_answered(
    moat: Moat, page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """On the list and beside every run, by a click or by the keyboard."""
    fetch = "curl -sS -m 300 -o /dev/null -w '%{http_code} ' http://host$n.test/"
    ask_with_patience(moat)
    run = shell("one", f"for n in 1 2; do {fetch}; done; cat")
    browser.open(page.url)
    browser.shows("host1.test:80 waits: may it be reached?", "#questions")
    browser.shows("network", ".runs td.waits")
    # An answer counts once the question could be read.
    browser.click("#questions .deny:not([aria-disabled])")
    browser.shows("host2.test:80 waits: may it be reached?", "#questions")
    browser.click(f"a[data-run='{run}']")
    browser.shows("403", SCREEN)
    browser.press("Control", "/")
    browser.type("a")
    focused = "return document.activeElement.textContent"
    browser.until(lambda: browser.run(focused) == "Allow", "button with the focus")
    browser.there("#questions .allow:not([aria-disabled])")
    browser.press("Enter")
    browser.until(lambda: not browser.text("#questions"), "end of the questions")
    rules = moat.ok("policy", "show", "one")
    assert "deny host1.test:80" in rules
    assert "allow host2.test:80" in rules


def ask_with_patience(moat: Moat) -> None:
    """Has runs of the workspace ask about hosts, and wait for an answer as long as a test does."""
    (moat.workspace / "agent.yaml").write_text("network: {policy: ask, ask_timeout: 5m}\n")
    moat.trust_projects()


def test_runs_that_have_ended(moat: Moat, page: WebPage, browser: Browser) -> None:
    """Their last screens with colours, or the end of their output, by a link that others may have."""
    script = r"printf '\033[31mred\033[m \033[?1003h'; seq 1 3; exit 7"
    moat("run", "-d", "-t", "-n", "screen", "--", "sh", "-c", script)
    moat("run", "-d", "-n", "streams", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    for name in ("screen", "streams"):
        moat("wait", name)
    browser.open(page.url)
    browser.shows("No runs.")
    browser.click("#ended")
    browser.shows("stopped (7)", ".runs")
    browser.click(f"a[data-run='{moat.inspect('screen')['id']}']")
    browser.shows("ended with exit code 7")
    browser.shows("red", SCREEN)
    assert browser.run("return !!document.querySelector('.xterm-fg-1')")
    browser.open(f"{page.origin}/#run={moat.inspect('streams')['id']}")
    browser.shows("ended with exit code 3")
    browser.shows("out\nerr", SCREEN)
    browser.open(f"{page.origin}/#run=none")
    browser.shows("There is no such run.")


def test_a_run_that_ends_is_seen_to(
    moat: Moat, page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """And one whose supervisor dies goes on, as if nothing had been."""
    run = shell("one", "echo first; read a; echo second; read b; exit 5")
    open_run(browser, page, run)
    browser.shows("first", SCREEN)
    moat.kill("one", "supervisor")
    browser.type(ENTER)
    browser.shows("second", SCREEN)
    browser.type(ENTER)
    browser.shows("ended with exit code 5")


def test_what_a_run_writes_is_text(
    moat: Moat, page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """Names of programs, lines, titles, addresses and errors that look like HTML do nothing."""
    (moat.workspace / "hostile.py").write_text(
        f"import sys\ntext = {HOSTILE!r}\n"
        r"print('\033]2;' + text + '\a' + text + '\u202e', flush=True)"
        "\nsys.stdin.read()\n"
    )
    command = 'exec python3 hostile.py "$0"'
    moat.ok("run", "-d", "-i", "-t", "-n", "one", "--", "sh", "-c", command, HOSTILE)
    run = moat.inspect("one")["id"]
    browser.open(page.url)
    browser.shows(HOSTILE, ".runs td.last")
    browser.click(f"a[data-run='{run}']")
    browser.shows(HOSTILE, ".facts .title")
    browser.shows("<script>", SCREEN)
    assert HOSTILE in browser.text(".facts .command")
    assert browser.run("return [typeof window.hacked, document.images.length]") == ["undefined", 0]
    assert browser.run("return document.scripts.length") == 1
    assert "\u202e" not in browser.text("main .bar")


def test_a_run_opens_nothing_and_copies_nothing(
    page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """A link is followed once the user has clicked and has seen where it leads, and only to the web."""
    link = r"\033]8;;%s\033\\%s\033]8;;\033\\ "
    links = link % ("http://127.0.0.1:9/x", "LINKED") + link % ("javascript:hacked=1", "SCRIPT")
    attempts = r"\033]52;c;aGFja2Vk\007\033[c\033]10;?\007\033[21t\033[5n\033]52;c;?\007"
    run = shell("one", f"printf '{attempts}{links} done'; cat -v")
    open_run(browser, page, run)
    browser.shows("done", SCREEN)
    browser.click(".home")
    browser.click(f"a[data-run='{run}']")
    browser.shows("done", SCREEN)
    # The emulator has answered each question, and the browser none.
    said = browser.text(SCREEN)
    assert (said.count("^[[?62"), said.count("^[]10;"), said.count("^[[0n")) == (1, 1, 1)
    assert "^[]l" not in said
    assert "^[]52" not in said
    assert len(browser.tabs()) == 1
    point_at(browser, "LINKED")
    browser.until(lambda: "http://127.0.0.1:9/x" in (browser.dialog() or ""), "question")
    browser.dismiss()
    assert len(browser.tabs()) == 1
    point_at(browser, "SCRIPT")
    assert browser.dialog() is None
    assert browser.run("return [typeof hacked, location.origin]") == ["undefined", page.origin]


def test_a_paste_ends_where_it_ends(
    page: WebPage, browser: Browser, shell: Callable[..., str]
) -> None:
    """Text from a stranger's page can't end the paste early, to be typed."""
    run = shell("one", r"printf '\033[?2004hready'; stty -icanon -echo; cat -v")
    open_run(browser, page, run)
    browser.shows("ready", SCREEN)
    browser.run(
        """
        const data = new DataTransfer();
        data.setData("text/plain", "one\\x1b[201~\\x03two\\u009b201~");
        const paste = {clipboardData: data, bubbles: true, cancelable: true};
        document.querySelector(".xterm textarea").dispatchEvent(new ClipboardEvent("paste", paste));
        """
    )
    browser.shows("^[[200~one[201~two201~^[[201~", SCREEN)


def point_at(browser: Browser, text: str) -> None:
    """Clicks on a text of the terminal's first row."""
    x, y = browser.run(
        """
        const row = document.querySelector('.xterm-rows > div');
        const cell = row.getBoundingClientRect();
        const at = row.textContent.indexOf(arguments[0]) + 1;
        const screen = document.querySelector('.xterm-screen').getBoundingClientRect();
        const width = document.querySelector('.xterm-cursor')?.getBoundingClientRect().width ?? 8.4;
        return [Math.round(screen.left + at * width), Math.round(cell.top + cell.height / 2)];
        """,
        text,
    )
    browser.click_at(x, y)


def test_a_page_of_another_server_is_told_so(page: WebPage, browser: Browser) -> None:
    """It shows nothing, and says which address is the right one."""
    browser.open(f"{page.origin}/#wrong")
    browser.shows("open the address that moat web has printed", "#status")
    assert "Runs" not in browser.text(".runs")


def test_read_only(moat: Moat, browser: Browser, shell: Callable[..., str]) -> None:
    """Nothing that is typed reaches the run, and no question is answered."""
    fetch = "curl -sS -m 300 -o /dev/null http://host.test/ &"
    ask_with_patience(moat)
    run = shell("one", f"{fetch} echo ready; cat")
    with WebPage(moat, "--read-only") as server:
        open_run(browser, server, run)
        browser.shows("ready", SCREEN)
        browser.shows("read-only", "#status")
        browser.shows("host.test:80 waits", "#questions")
        assert not browser.run("return document.querySelector('#questions button')")
        browser.click(".screen")
        browser.type(f"typed{ENTER}")
        moat.ok("send", "one", "sent\\n")
        browser.shows("sent", SCREEN)
        assert "typed" not in browser.text(SCREEN)
        browser.open("about:blank")
