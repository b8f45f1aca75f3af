"""The registry of services: what comes with Moat, and files of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.config.services import ServiceRequest
from moat.errors import UsageError
from moat.services import catalog
from moat.services.readiness import exchange
from moat.services.resolve import resolve
from moat.services.variables import filled

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = [path.stem for path in sorted(catalog.ENTRIES.shipped.glob("*.yaml"))]
MINE = "id: mine\ntitle: Mine\nimage: my/image\ndefault: '1'\nports: [7000]\n"


def test_the_services_that_moat_knows() -> None:
    """Those that users of the original have, and some more."""
    assert SHIPPED == ["minio", "mongodb", "mysql", "ollama", "postgres", "rabbitmq", "redis"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_entry_is_complete(name: str) -> None:
    """It has a URL without anything unreplaced, a volume, and its password is in no command line."""
    request = ServiceRequest(name=name, kind=name, volume="data")
    service = resolve(request, catalog.find, lambda _: "/volumes/data")
    texts = filled(service, "s3cret")
    assert "{" not in "".join(texts.variables.values())
    assert "{password}" not in " ".join(service.command)
    assert ("s3cret" in texts.variables["URL"]) == (name not in {"minio", "ollama"})
    assert service.volume is not None
    assert service.ready.protocol != "tcp"
    assert exchange(service.ready, texts.variables) is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", ""),
        ("ready: { protocol: smtp }\n", "must be one of"),
        ("ready: { address: 10.0.0.1 }\n", "no address like 127.0.0.1"),
        ("files: { etc/x: y }\n", "not absolute"),
        ("variables: { 'A B': y }\n", "not the name of a variable"),
    ],
)
def test_an_entry_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, said: str
) -> None:
    """It is found like those of Moat, or its mistake is told."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path))
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "mine.yaml").write_text(MINE + more)
    if said:
        with pytest.raises(UsageError, match=said):
            catalog.find("mine")
        return
    entry = catalog.find("mine")
    assert (entry.image, entry.ports, entry.builtin) == ("my/image", (7000,), False)
