"""Checks of the machine, and the remedy that each names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap import host_checks
from moat.errors import EngineError

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
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="not installed") as error:
        host_checks.require_bubblewrap()
    assert error.value.hint is not None
    assert "install bubblewrap" in error.value.hint
    assert "bubblewrap options" not in [check.name for check in host_checks.checks()]


def test_an_old_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the option that this bubblewrap lacks."""
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho --size --perms --clearenv --info-fd\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    error = host_checks.isolation_failed("unknown option")
    assert "--ro-bind-fd" in error.summary
    assert "unknown option" in error.summary


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
