"""Names that hold secrets wherever they lie."""

from __future__ import annotations

import pytest

from moat.engines.bubblewrap.toolchains.secret_names import secret_files


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (".npmrc", "etc"),
        ("id_ed25519", "bin"),
        ("auth.json", ".codex"),
        ("settings.xml", "conf"),
        ("history", "conda-meta"),
        ("kubeconfig", "etc"),
        (".env", "app"),
        (".env.production", "app"),
        (".bash_history", "user"),
        ("release.keystore", "android"),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, folder: str) -> None:
    """Whatever else lies in the folder."""
    assert secret_files([name, "README.md"], folder) == {name}


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("auth.json", "src"),
        ("settings.xml", "res"),
        ("history", "src"),
        (".env.example", "app"),
        (".env.local.sample", "app"),
        (".environment", "app"),
        (".history", "app"),
        ("keystore.py", "app"),
    ],
)
def test_an_ordinary_name_is_shown(name: str, folder: str) -> None:
    """Programs need these, and nobody keeps a secret in them."""
    assert secret_files([name], folder) == set()
