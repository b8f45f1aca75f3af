"""Secrets of other stores: looked up by their programs, all of them or none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from moat.credentials import secret_sources
from moat.credentials.secret_sources import SecretError, Sources

if TYPE_CHECKING:
    from pathlib import Path

GET = "ssm get-parameter --with-decryption"
STORE = """\
#!{python}
import os, sys
print(" ".join(sys.argv[1:]))
print(*sorted(name for name in os.environ if name.endswith("_SEEN")), os.getcwd())
"""


def _sources(
    *, writable: tuple[str, ...] = (), programs: dict[str, str] | None = None, **variables: str
) -> Sources:
    return Sources(variables, programs or {}, writable)


def _program(path: Path, text: str) -> str:
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o700)
    return str(path)


def test_a_variable() -> None:
    """`env://` is a variable of the user's."""
    assert _sources(TOKEN="t").look_up({"A": "env://TOKEN"}) == {"A": "t"}


def test_a_file(tmp_path: Path) -> None:
    """`file://` is the content of a file without the newline at its end."""
    (tmp_path / "secret").write_text(" one\ntwo\n")
    assert _sources().look_up({"A": f"file://{tmp_path}/secret"}) == {"A": " one\ntwo"}


def test_a_command() -> None:
    """`cmd://` is what a program of the system prints; no shell reads its words."""
    assert _sources().look_up({"A": "cmd://echo '$HOME' ;"}) == {"A": "$HOME ;"}


@pytest.mark.parametrize(
    ("text", "program", "arguments"),
    [
        ("op://a/b/c", "op", "read --no-newline op://a/b/c"),
        ("vault://kv/app#key", "vault", "kv get -field=key kv/app"),
        (
            "ssm://eu-west-1/t",
            "aws",
            f"{GET} --name=t --query Parameter.Value --output text --region eu-west-1",
        ),
    ],
)
def test_a_store_is_asked_by_its_program(
    tmp_path: Path, text: str, program: str, arguments: str
) -> None:
    """The store's own program gets the reference, its own variables, and no folder of a project."""
    chosen = {program: _program(tmp_path / program, STORE)}
    sources = _sources(programs=chosen, OP_SEEN="", LD_SEEN="", AWS_SEEN="", HOME="/")
    (said, seen) = sources.look_up({"A": text})["A"].splitlines()
    assert said == arguments
    assert seen == "AWS_SEEN OP_SEEN /"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("env://MISSING", "there is no variable MISSING"),
        ("file:///no/such/file", "No such file"),
        ("cmd://false", "false failed with exit code 1"),
        (
            "cmd://no-such-program",
            "no-such-program can't be used: it is in no folder of the system",
        ),
        ("cmd://true", "there is nothing"),
        ("cmd://head -c 200000 /dev/zero", "too long, or no text"),
        ("cmd://printf '\\200'", "no text"),
        ("nonsense", "no reference to a secret"),
    ],
)
def test_one_that_fails_is_named(text: str, why: str) -> None:
    """A secret that can't be had is an error that names it, whatever the others are."""
    references = {"GOOD": "env://TOKEN", "BAD": text, "OTHER": "env://TOKEN"}
    with pytest.raises(SecretError) as failed:
        _sources(TOKEN="hunter2").look_up(references)
    assert "secret BAD" in failed.value.summary
    assert why in failed.value.summary
    assert "hunter2" not in str(failed.value)


def test_a_place_where_the_run_may_write_is_not_believed(tmp_path: Path) -> None:
    """Neither a file nor a program in the workspace, nor a way through it, is followed."""
    workspace, outside = tmp_path / "work", tmp_path / "outside"
    workspace.mkdir()
    outside.write_text("id_ed25519")
    (workspace / "link").symlink_to(outside)
    (tmp_path / "way").symlink_to(workspace / "link")
    program = _program(workspace / "program", STORE)
    sources = _sources(writable=(str(workspace),), programs={"op": program})
    for text in (
        *(f"file://{workspace}/link", f"file://{tmp_path}/way", f"cmd://{program}", "op://a/b/c"),
    ):
        with pytest.raises(SecretError, match="where the run may write"):
            sources.look_up({"A": text})


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A file that is a symbolic link is an error: it could lead elsewhere by the time it is read."""
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(SecretError, match="symbolic links"):
        _sources().look_up({"A": f"file://{tmp_path}/link"})


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe in the place of a file is an error at once."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SecretError, match="there is nothing"):
        _sources().look_up({"A": f"file://{tmp_path}/pipe"})


def test_a_program_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asks somebody who isn't there ends with an error."""
    monkeypatch.setattr(secret_sources, "_PATIENCE_S", 0.01)
    with pytest.raises(SecretError, match="took longer"):
        _sources().look_up({"A": "cmd://sleep 1000"})
