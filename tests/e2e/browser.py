"""A real Chromium, driven by WebDriver (w3.org/TR/webdriver2) as its chromedriver speaks it.

A test waits for what a page shows: nothing tells of that from outside, so a browser is asked again and
again, and each wait has a timeout.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import subprocess
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.e2e.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {
    "Enter": "\ue007",
    "Control": "\ue009",
    "Tab": "\ue004",
    "Shift": "\ue008",
    "Down": "\ue015",
}
_STARTED = re.compile(rb"was started successfully on port (\d+)")


class Browser:
    """One window of a browser with a profile of its own. A context manager, which ends it."""

    def __init__(
        self, folder: Path, *, dark: bool = False, size: tuple[int, int] = (1280, 800)
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
        )
        self._connection = HTTPConnection("127.0.0.1", self._port(), timeout=TIMEOUT_S)
        arguments = [
            *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--no-sandbox", "--no-proxy-server", "--disable-background-networking"),
            f"--window-size={size[0]},{size[1]}",
            f"--user-data-dir={folder}/profile",
        ]
        if dark:
            arguments.append("--force-dark-mode")
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore",
        }
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._connection.close()
            self._driver.terminate()
            self._driver.wait(TIMEOUT_S)
            assert self._driver.stdout is not None
            self._driver.stdout.close()

    def _port(self) -> int:
        assert self._driver.stdout is not None
        said = b""
        while not (found := _STARTED.search(said)):
            assert select.select([self._driver.stdout], [], [], TIMEOUT_S)[0], said
            piece = os.read(self._driver.stdout.fileno(), 4096)
            assert piece, said
            said += piece
        return int(found[1])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = None if method != "POST" else json.dumps(body or {})
        self._connection.request(method, path, content, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = json.loads(response.read())["value"]
        if response.status != 200:
            raise WebDriverError(answer["error"], answer["message"])
        return answer

    # --- what a user does ---

    def open(self, url: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": url})

    def click(self, selector: str) -> None:
        self.until(lambda: self._clicked(selector), f"{selector} that stays to be clicked")

    def _clicked(self, selector: str) -> bool:
        try:
            self._ask("POST", f"{self._session}/element/{self._find(selector)}/click")
        except WebDriverError as error:
            if error.args[0] != "stale element reference":
                raise
            return False  # it was drawn anew meanwhile
        return True

    def type(self, text: str) -> None:
        """Types where the focus is; `KEYS` has the keys that are no characters."""
        actions = [{"type": kind, "value": each} for each in text for kind in ("keyDown", "keyUp")]
        self.act(actions)

    def press(self, *keys: str) -> None:
        """Presses keys together."""
        codes = [KEYS.get(each, each) for each in keys]
        downs = [{"type": "keyDown", "value": each} for each in codes]
        ups = [{"type": "keyUp", "value": each} for each in reversed(codes)]
        self.act([*downs, *ups])

    def act(self, actions: list[dict[str, str]]) -> None:
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        self._ask("POST", f"{self._session}/actions", body)

    def click_at(self, x: int, y: int) -> None:
        """Moves the mouse to a place in the window, and clicks there."""
        move = {"type": "pointerMove", "duration": 0, "origin": "viewport"}
        pointer = [
            move | {"x": x - 1, "y": y},
            move | {"x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": pointer}
        self._ask("POST", f"{self._session}/actions", {"actions": [mouse]})

    def resize(self, width: int, height: int) -> None:
        self._ask("POST", f"{self._session}/window/rect", {"width": width, "height": height})

    # --- what there is to see ---

    @property
    def url(self) -> str:
        return self._ask("GET", f"{self._session}/url")

    def tabs(self) -> list[str]:
        return self._ask("GET", f"{self._session}/window/handles")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, which is the test's and not the page's: no policy holds for it."""
        body = {"script": script, "args": list(arguments)}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def text(self, selector: str = "body") -> str:
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def dialog(self) -> str | None:
        """The text of an open dialog."""
        try:
            return self._ask("GET", f"{self._session}/alert/text")
        except WebDriverError as error:
            if error.args[0] != "no such alert":
                raise
            return None

    def dismiss(self) -> None:
        self._ask("POST", f"{self._session}/alert/dismiss")

    def complaints(self) -> list[str]:
        """What the browser has complained about since the last call: errors, refusals of the policy."""
        entries = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    # --- waiting ---

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"no {what}; the page says:\n{self.text()}\n{self.complaints()}")
            select.select([], [], [], 0.05)  # nothing tells of it
        return found

    def shows(self, text: str, selector: str = "body") -> None:
        self.until(lambda: text in self.text(selector), repr(text))

    def there(self, selector: str) -> None:
        self.until(
            lambda: self.run("return !!document.querySelector(arguments[0])", selector), selector
        )

    def _find(self, selector: str) -> str:
        self.there(selector)
        body = {"using": "css selector", "value": selector}
        return self._ask("POST", f"{self._session}/element", body)[ELEMENT]


class WebDriverError(Exception):
    """The driver has answered with an error: its name, and its message."""
