"""The versions of tools that the user has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.engines.bubblewrap.toolchains.versions import chosen_versions

if TYPE_CHECKING:
    from pathlib import Path


def test_asdf_gets_the_first_version_of_each_tool(tmp_path: Path) -> None:
    """Comments, and what can't be a version, are left out."""
    (tmp_path / ".tool-versions").write_text(
        "# tools\nnodejs 22.1.0 system # the second is a fallback\nrust-nightly 1.80\nempty\nx $(y)\n"
    )
    assert chosen_versions(tmp_path, {"ASDF_DATA_DIR"}) == {
        "ASDF_NODEJS_VERSION": "22.1.0",
        "ASDF_RUST_NIGHTLY_VERSION": "1.80",
    }


def test_mise_gets_its_tools_and_nothing_else_of_its_settings(tmp_path: Path) -> None:
    """Its file may hold secrets, so the sandbox doesn't see it."""
    folder = tmp_path / ".config" / "mise"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        '[env]\nTOKEN = "secret"\n[tools]\nnode = "22"\npython = ["3.12", "3.11"]\n'
        'go = { version = "1.22" }\n"npm:prettier" = "3"\njava = 21\n'
    )
    assert chosen_versions(tmp_path, {"MISE_DATA_DIR"}) == {
        "MISE_NODE_VERSION": "22",
        "MISE_PYTHON_VERSION": "3.12",
        "MISE_GO_VERSION": "1.22",
    }


def test_without_either_there_are_none(tmp_path: Path) -> None:
    """Files that nobody asks for are not read, and damaged ones are no error."""
    assert chosen_versions(tmp_path, set()) == {}
    (tmp_path / ".config" / "mise").mkdir(parents=True)
    (tmp_path / ".config" / "mise" / "config.toml").write_text("[tools")
    assert chosen_versions(tmp_path, {"MISE_DATA_DIR", "ASDF_DATA_DIR"}) == {}
