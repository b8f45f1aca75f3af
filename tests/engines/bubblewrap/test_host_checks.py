"""Checks of the machine, and the remedy that each names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap import host_checks
from moat.errors import EngineError
from moat.ground import programs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel settings of another machine."""
    monkeypatch.setattr(host_checks, "_SYSCTL", tmp_path)
    (tmp_path / "user").mkdir()
    (tmp_path / "kernel").mkdir()
    return tmp_path


@pytest.fixture
def _ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_checks.os, "geteuid", lambda: 1000)


def test_this_machine_is_fit() -> None:
    """The suite runs real sandboxes, so every check passes here."""
    found = host_checks.checks()
    assert [check for check in found if not check.ok] == []
    assert [check.name for check in found] == [
        "bubblewrap",
        "user namespaces allowed",
        "namespaces",
        "bubblewrap options",
        "sandbox",
        "limits",
    ]
    assert host_checks.require_bubblewrap().endswith("/bwrap")


def test_bubblewrap_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says what to install, and checks that need bubblewrap are left out."""
    monkeypatch.setattr(programs, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="not installed") as error:
        host_checks.require_bubblewrap()
    assert error.value.hint is not None
    assert "install bubblewrap" in error.value.hint
    assert "bubblewrap options" not in [check.name for check in host_checks.checks()]


def test_an_old_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the option that this bubblewrap lacks."""
    old = executable(tmp_path / "bwrap", "echo --size --perms --clearenv --info-fd")
    monkeypatch.setattr(programs, "PLACES", (str(tmp_path),))
    for error in (
        host_checks.isolation_failed("unknown option"),
        host_checks.isolation_failed("unknown option", str(old)),
    ):
        assert "--ro-bind-fd" in error.summary
        assert "unknown option" in error.summary


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_program_of_path_is_named_and_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is a trusted one besides, it is used; else the error says what to do."""
    planted = executable(tmp_path / "bwrap", f"touch {tmp_path}/marker")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = host_checks.checks()[0]
    assert check.detail == host_checks.require_bubblewrap()
    assert f"not used: {planted}: not in a folder of the system" in check.warnings
    monkeypatch.setattr(programs, "PLACES", ())
    with pytest.raises(EngineError, match="no bwrap that can be trusted") as error:
        host_checks.require_bubblewrap()
    assert "programs: {bwrap:" in str(error.value.hint)
    assert not (tmp_path / "marker").exists()


def test_the_choice_of_the_settings_is_bad(tmp_path: Path) -> None:
    """Nothing else takes its place: the user wanted that one."""
    with pytest.raises(EngineError, match=f"there is no {tmp_path}/bwrap"):
        host_checks.require_bubblewrap(f"{tmp_path}/bwrap")
    chosen = executable(tmp_path / "bwrap", "true")
    assert host_checks.require_bubblewrap(str(chosen)) == str(chosen)
    chosen.chmod(0o777)
    with pytest.raises(EngineError, match="can be written by others") as error:
        host_checks.require_bubblewrap(str(chosen))
    assert "programs.bwrap" in str(error.value.hint)


@pytest.mark.usefixtures("_ordinary_user")
@pytest.mark.parametrize(
    ("name", "value"),
    [("user/max_user_namespaces", "0"), ("kernel/unprivileged_userns_clone", "0")],
)
def test_user_namespaces_are_switched_off(settings: Path, name: str, value: str) -> None:
    """The remedy is the exact line to type."""
    (settings / name).write_text(f"{value}\n")
    with pytest.raises(EngineError, match="user namespaces") as error:
        host_checks.require_bubblewrap()
    assert error.value.hint is not None
    assert f"sysctl -w {name.replace('/', '.')}=" in error.value.hint


@pytest.mark.usefixtures("_ordinary_user")
def test_ubuntus_restriction_names_its_remedies(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the switch or a profile for Moat's own Python: a profile for bwrap isn't enough."""
    (settings / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("1\n")
    monkeypatch.setattr(host_checks, "_try_namespaces", lambda: "Operation not permitted")
    error = host_checks.isolation_failed("unshare: Operation not permitted")
    assert error.hint is not None
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in error.hint
    assert "userns," in error.hint


def test_the_kernels_error_is_kept() -> None:
    """If every check passes, the error repeats what the kernel said."""
    assert host_checks.isolation_failed("mount: odd").summary == "no sandbox: mount: odd"
