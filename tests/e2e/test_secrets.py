"""`secrets:` from the file to the sandbox, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.stored_files import holding

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat

SECRET = "hunter2-0f3a9c"


@pytest.fixture
def secret(moat: Moat, tmp_path: Path) -> str:
    """A secret of the user's, to which the project's file refers."""
    (tmp_path / "secret").write_text(SECRET)
    (moat.workspace / "agent.yaml").write_text(f"secrets: {{TOKEN: 'file://{tmp_path}/secret'}}\n")
    return SECRET


def test_a_secret_is_a_variable_and_on_no_disk(moat: Moat, secret: str) -> None:
    """Commands have it, under the next supervisor too; nothing of the run's on the disk does."""
    moat.ok("trust")
    started = moat(
        "run", "-d", "-n", "x", "--", "sh", "-c", "printenv TOKEN | wc -c; exec sleep 1000"
    )
    assert started.stderr == "moat: the sandbox sees these secrets as they are: TOKEN\n"
    moat.ok("wait", "--text", str(len(secret) + 1), "x")
    moat.kill("x", "supervisor")
    assert moat.ok("exec", "x", "--", "printenv", "TOKEN") == f"{secret}\n"
    printed = moat.home / "runs" / moat.inspect("x")["id"] / "journal" / "exec-1"
    assert all(each.is_relative_to(printed) for each in holding(moat.home, secret))
    entries = moat.home / "vault" / "entries"
    assert list(entries.glob("run-secrets*"))
    moat.ok("stop", "x")
    moat.ok("destroy", "x")
    assert not list(entries.glob("run-secrets*"))


def test_one_that_fails_stops_the_start(moat: Moat) -> None:
    """The error names the secret, nothing is started, and nothing is left."""
    moat.write_settings("secrets: {GOOD: env://HOME, BAD: env://NO_SUCH_VARIABLE}\n")
    done = moat("run", "--", "true")
    assert done.returncode == 125
    assert "secret BAD can't be looked up: env://NO_SUCH_VARIABLE: there is no" in done.stderr
    assert moat.runs() == []
    assert not (moat.home / "vault").exists()


@pytest.mark.parametrize("blindly", [("--trust-project",), ()])
def test_nobody_agrees_to_secrets_blindly(
    moat: Moat, secret: str, blindly: tuple[str, ...]
) -> None:
    """Whoever lets projects open what they like has not agreed to what a run may have written there."""
    moat.trust_projects()
    done = moat("run", *blindly, "--", "true")
    assert done.returncode == 3
    assert "secrets: TOKEN=file://" in done.stderr
    assert "--trust-project" not in done.stderr
    moat.ok("trust")
    moat.ok("run", *blindly, "--", "true")


def test_the_command_line_comes_first(moat: Moat, secret: str) -> None:
    """A variable of `-e` takes the place of a secret, which then isn't looked up."""
    moat.ok("trust")
    assert moat.ok("run", "-e", "TOKEN=mine", "--", "printenv", "TOKEN") == "mine\n"
