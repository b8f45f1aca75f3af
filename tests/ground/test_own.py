"""Where the running Moat comes from."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from importlib import util
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import moat
from moat.errors import UsageError
from moat.ground.own import check_settings, installation, own_ground

if TYPE_CHECKING:
    from pathlib import Path


def leads_to(path: Path | str, store: str = "/srv/store", **environment: str) -> str | None:
    """Return the remedy of the ground that leads to a path, or over it."""
    found = (each for each in own_ground(environment, store) if str(path) in each.places)
    return next((each.remedy for each in found), None)


def test_the_interpreter_and_the_package_are_known() -> None:
    """Each with the links on the way to it, and the libraries that it has loaded."""
    for path in (sys.executable, sys.prefix, sys.base_prefix, moat.__path__[0]):
        assert "install Moat elsewhere" in str(leads_to(path))
    assert leads_to(os.path.realpath(sys.executable)) is not None


def test_the_store_and_its_settings_are_known(folder: Path) -> None:
    """Settings may be a link into another folder, which then decides."""
    (folder / "home").mkdir()
    (folder / "link").symlink_to("home")
    (folder / "dotfiles").mkdir()
    (folder / "dotfiles" / "moat.yaml").touch()
    (folder / "home" / "config.yaml").symlink_to("../dotfiles/moat.yaml")
    for path in ("link", "home", "dotfiles/moat.yaml"):
        assert "MOAT_HOME" in str(leads_to(folder / path, store=str(folder / "link")))


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("PYTHONPATH", "/usr/lib:{}/x", "x"),
        ("PYTHONPATH", ":/usr/lib", ""),
        ("PYTHONUSERBASE", "{}/x", "x"),
        ("PYTHONPYCACHEPREFIX", "x", "x"),
        ("PYTHONHOME", "{}/x", "x"),
        ("LD_PRELOAD", "libc.so.6 {}/x.so", "x.so"),
        ("LD_LIBRARY_PATH", "/usr/lib:x", "x"),
        ("LD_LIBRARY_PATH", "/usr/lib:", ""),
        ("OPENSSL_CONF", "{}/x.cnf", "x.cnf"),
        ("GCONV_PATH", "{}/x", "x"),
    ],
)
def test_what_the_environment_adds_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, found: str
) -> None:
    """Places need not exist yet. An empty entry of a list is the working directory."""
    monkeypatch.chdir(folder)
    remedy = leads_to(folder / found, **{name: value.format(folder)})
    assert remedy == f"take it out of {name}, or work in another folder"


def test_a_library_without_a_folder_is_the_systems(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for in the system's folders, not in the working directory."""
    monkeypatch.chdir(folder)
    assert leads_to(folder / "libjemalloc.so.2", LD_PRELOAD="libjemalloc.so.2") is None


def test_every_folder_of_the_import_path_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of an editable installation, too, and what a link of a module's name leads to."""
    (folder / "src").mkdir()
    (folder / "linked").mkdir()
    (folder / "src" / "json").symlink_to(folder / "linked")
    (folder / "src" / "project").symlink_to(folder / "other")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder / "src")])
    assert leads_to(folder / "src") is not None
    assert leads_to(folder / "linked") is not None
    assert leads_to(folder / "other") is None


def test_a_finder_of_editable_packages_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such packages are on no entry of `sys.path`."""
    finder = ModuleType("__editable___x_finder")
    finder.MAPPING = {"x": str(folder / "x")}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, finder.__name__, finder)
    assert leads_to(folder / "x") is not None


def test_a_library_that_is_loaded_is_known(folder: Path) -> None:
    """However it came to be: by a variable, a rpath, or an import from another folder."""
    spec = util.find_spec("_json")
    assert spec is not None
    assert spec.origin is not None
    library = folder / "library.so"
    shutil.copy(spec.origin, library)
    ctypes.PyDLL(str(library))
    assert leads_to(library) is not None


def test_a_gone_working_directory_is_no_obstacle(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is relative to it leads nowhere any more."""
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert leads_to("/nowhere", PYTHONPATH="src") is None


def test_what_doctor_names_comes_first() -> None:
    """The package, then the interpreter."""
    assert list(installation())[:2] == [moat.__path__[0], sys.executable]


def test_settings_that_others_could_change(folder: Path) -> None:
    """Nobody gets into the store, so its own file may have any mode; one outside may not."""
    own = folder / "config.yaml"
    own.touch()
    own.chmod(0o666)
    check_settings(str(folder))
    (folder / "dotfiles").mkdir()
    own.rename(folder / "dotfiles" / "moat.yaml")
    own.symlink_to("dotfiles/moat.yaml")
    with pytest.raises(UsageError, match="can be written by others"):
        check_settings(str(folder))
    (folder / "dotfiles" / "moat.yaml").chmod(0o644)
    check_settings(str(folder))


def test_settings_with_a_second_name(folder: Path) -> None:
    """What a run writes by the other name would be settings."""
    own = folder / "config.yaml"
    own.touch()
    os.link(own, folder / "other")
    with pytest.raises(UsageError, match="hard link"):
        check_settings(str(folder))
