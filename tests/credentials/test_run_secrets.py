"""The secrets of a run in the vault, from before its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.credentials import run_secrets
from moat.credentials.credential import CredentialNotFoundError
from moat.credentials.run_secrets import RunSecrets
from moat.credentials.secret_sources import SecretError
from moat.credentials.vault import Vault
from moat.spec import Mount, RunId, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    """A run whose workspace and one of whose mounts it may write."""
    folders = {name: tmp_path / name for name in ("work", "data", "docs")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "secret").write_text("hunter2")
    return RunSpec(
        id=RunId("0123456789ab"),
        name="x",
        command=("true",),
        workspace=str(folders["work"]),
        mounts=(Mount(str(folders["data"]), "/data"), Mount(str(folders["docs"]), "/docs", "ro")),
        created_at="2026-01-01T00:00:00Z",
    )


def test_secrets_live_as_long_as_the_run(tmp_path: Path, spec: RunSpec) -> None:
    """They come back as they were looked up, no file of the vault shows them, and then they are gone."""
    home = tmp_path / "home"
    RunSecrets(home, {}).keep(spec, {"A": f"file://{tmp_path}/docs/secret"})
    assert run_secrets.secrets_of(home, spec.id) == {"A": "hunter2"}
    files = [each for each in home.rglob("*") if each.is_file()]
    assert files
    assert all(b"hunter2" not in each.read_bytes() for each in files)
    run_secrets.forget(home, spec.id)
    run_secrets.forget(home, spec.id)
    with pytest.raises(CredentialNotFoundError):
        run_secrets.secrets_of(home, spec.id)


@pytest.mark.parametrize("folder", ["work", "data"])
def test_what_the_run_may_write_is_no_source(tmp_path: Path, spec: RunSpec, folder: str) -> None:
    """A file in the workspace, or in a mount with `rw`, could be a link to another secret by now."""
    references = {"A": f"file://{tmp_path}/{folder}/secret"}
    with pytest.raises(SecretError, match="where the run may write"):
        RunSecrets(tmp_path / "home", {}).keep(spec, references)
    assert not (tmp_path / "home").exists()


def test_all_or_nothing(tmp_path: Path, spec: RunSpec) -> None:
    """Where one secret can't be looked up, none is kept."""
    references = {"A": f"file://{tmp_path}/docs/secret", "B": "env://NO_SUCH_VARIABLE"}
    with pytest.raises(SecretError, match="secret B"):
        RunSecrets(tmp_path / "home", {}).keep(spec, references)
    assert Vault(tmp_path / "home").entries() == []
