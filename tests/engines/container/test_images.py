"""Which images are a store's, from an engine that lists what the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moat.engines.container import images
from moat.engines.container.api import CallRefusedError, EngineAPI
from moat.errors import EngineError

HOME = Path("/home/me/.moat")
LABELS = {"moat.home": str(HOME), "moat.recipe": "0a1b", "moat.dependencies": "jq node@22"}
OWN = "localhost/moat/run:0a1b"


class Listing(EngineAPI):
    """An engine of which only the answers matter: real ones are in the end-to-end tests."""

    def __init__(self, answer: object) -> None:
        super().__init__("/nowhere", "docker")
        self.calls: list[str] = []
        self._answer = answer

    def call(self, method: str, path: str, *_: object, **__: object) -> Any:
        self.calls.append(f"{method} {path.partition('?')[0]}")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def listed(*tags: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"RepoTags": list(tags), "Labels": labels or LABELS, "Created": 7, "Size": 9}


def test_an_image_of_the_store() -> None:
    """Its name and its labels say so."""
    found = [*images.made(Listing([listed("you/other:1", OWN)]), HOME)]
    assert found == [images.MadeImage("docker", OWN, "jq node@22", 7, 9)]


@pytest.mark.parametrize(
    "each",
    [
        listed("debian:stable-slim"),
        listed(),
        {"RepoTags": None, "Labels": LABELS},
        {"RepoTags": [OWN], "Labels": None},
        listed("localhost/moat/run:ffff"),
        listed("registry.example.com/localhost/moat/run:0a1b"),
        listed(OWN, labels={**LABELS, "moat.home": "/home/you/.moat"}),
        listed(OWN, labels={**LABELS, "moat.recipe": "ffff"}),
    ],
)
def test_labels_alone_make_no_image_the_store_s(each: dict[str, Any]) -> None:
    """Any image has those of its base, whoever made that."""
    assert [*images.made(Listing([each]), HOME)] == []


@pytest.mark.parametrize(("status", "removed"), [(404, False), (409, False)])
def test_an_image_that_is_in_use_or_gone(status: int, removed: bool) -> None:
    """It stays, and that is no error: nothing is forced."""
    api = Listing(CallRefusedError(status, "docker: conflict"))
    assert images.remove(api, OWN) is removed
    assert api.calls == [f"DELETE /images/{OWN}"]


def test_an_image_that_can_not_be_removed() -> None:
    """The engine's reason is told."""
    with pytest.raises(CallRefusedError, match="disk full"):
        images.remove(Listing(CallRefusedError(500, "docker: disk full")), OWN)


@pytest.mark.parametrize(("tags", "calls"), [(["you/kept:1"], 1), ([], 2)])
def test_what_was_replaced_is_removed_unless_it_has_a_name(tags: list[str], calls: int) -> None:
    """A user may have given it one."""
    api = Listing({"RepoTags": tags})
    images.remove_replaced(api, "sha256:0123")
    assert len(api.calls) == calls


@pytest.mark.parametrize(
    ("reference", "remedy"),
    [("debian:stable", "docker pull debian:stable"), (OWN, "start the run again")],
)
def test_an_image_that_is_missing(reference: str, remedy: str) -> None:
    """What to do depends on whose it is."""
    api = Listing(CallRefusedError(404, "docker: no such image"))
    with pytest.raises(EngineError, match=f"docker has no image {reference}") as caught:
        images.describe(api, reference)
    assert remedy in (caught.value.hint or "")
