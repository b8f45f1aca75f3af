"""A real Chromium without a window, driven by WebDriver (chromedriver), from `with` to the end of it.

Of the protocol (w3.org/TR/webdriver2) this has what the tests use. A wait is a script in the page that
ends with the page's own event, so nothing here polls.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE_S: Final = 120.0
"""The time for a wait: a machine may be slow."""
_UNTIL: Final = """
const [selector, pattern, done] = arguments;
const holds = () => new RegExp(pattern).test(document.querySelector(selector)?.textContent ?? "");
const look = () => {
  if (!holds()) return;
  observer.disconnect();
  done(document.querySelector(selector).textContent);
};
const observer = new MutationObserver(look);
observer.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
look();
"""


class Chromium:
    """One browser with one tab."""

    def __init__(self, *arguments: str, trusts_any_certificate: bool = False) -> None:
        """`arguments`: further ones of the program."""
        self._options = {
            "acceptInsecureCerts": trusts_any_certificate,
            "timeouts": {"script": int(PATIENCE_S * 1000)},
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                # Root may not use Chromium's sandbox, and /dev/shm may be small.
                "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *arguments]
            },
        }
        self._stack = ExitStack()
        self._port = 0
        self._session = ""

    def __enter__(self) -> Self:
        with self._stack:
            driver = subprocess.Popen(
                ["chromedriver", "--port=0"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self._stack.callback(driver.wait)
            self._stack.callback(driver.terminate)
            assert driver.stdout is not None
            self._stack.callback(driver.stdout.close)
            found = None
            while found is None:
                line = driver.stdout.readline()
                assert line, "chromedriver has ended"
                found = re.search(r"started successfully on port (\d+)", line)
            self._port = int(found[1])
            drain = threading.Thread(target=driver.stdout.read)
            drain.start()
            self._stack.callback(drain.join)
            self._stack.callback(driver.terminate)
            asked = {"capabilities": {"alwaysMatch": self._options}}
            self._session = self._ask("POST", "/session", asked)["sessionId"]
            self._stack.callback(self._call, "DELETE", "")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, url: str) -> None:
        """Load a page, until it is complete."""
        self._call("POST", "/url", {"url": url})

    def script(self, text: str, *arguments: Any) -> Any:
        """Run a script in the page, and return what it returns."""
        return self._call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def waiting_script(self, text: str, *arguments: Any) -> Any:
        """Run a script, and return what it gives to its last argument, a function."""
        return self._call("POST", "/execute/async", {"script": text, "args": list(arguments)})

    def until(self, selector: str, pattern: str) -> str:
        """Wait until the text of an element has a pattern (JavaScript's), and return the text."""
        return self.waiting_script(_UNTIL, selector, pattern)

    def text(self, selector: str) -> str:
        """Return the text of an element, as it is shown."""
        return self._call("GET", f"/element/{self._find(selector)}/text")

    def click(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str | Path) -> None:
        """Type text into an element; into one for files, the path of a file."""
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": str(text)})

    def clear(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/clear", {})

    def log(self) -> list[str]:
        """Return what the console has got since the last call."""
        return [each["message"] for each in self._call("POST", "/se/log", {"type": "browser"})]

    def _find(self, selector: str) -> str:
        asked = {"using": "css selector", "value": selector}
        return self._call("POST", "/element", asked)[_ELEMENT]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port)) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message']}")
        return value
