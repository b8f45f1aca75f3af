"""GitHub's own program, and git, with a grant of GitHub."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.clients.conftest import RUN_S
from tests.e2e.git_origin import GitOrigin
from tests.e2e.internet import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.clients.conftest import User
    from tests.e2e.internet import Asked

pytestmark = pytest.mark.timeout(3 * RUN_S)

TOKEN = "ghp_TheRealTokenOfTheUser01234567890123"
CREATED = "2026-01-01T00:00:00Z"


def api(asked: Asked) -> Answer:
    """Answer as much of GitHub's API as the program asks for here, to its owner alone."""
    if asked.headers.get("authorization", "").partition(" ")[2] != TOKEN:
        return Answer.of({"message": "Bad credentials"}, 401)
    path = asked.path.removeprefix("/api/v3")
    if path == "/user":
        return Answer.of({"login": "octocat", "id": 1}, X_OAuth_Scopes="repo")
    if path in {"/graphql", "/api/graphql"}:
        return Answer.of({"data": {"repository": _repository()}})
    if path == "/repos/octocat/hello/readme":
        text = base64.b64encode(b"Hello, reader.\n").decode()
        return Answer.of({"name": "README.md", "content": text, "html_url": "https://x.test/"})
    return Answer.of({"message": "Not Found"}, 404)


def _repository() -> dict[str, object]:
    return {
        "id": "R_1",
        "name": "hello",
        "owner": {"id": "U_1", "login": "octocat"},
        "description": "A private repository",
        "url": "https://github.com/octocat/hello",
        "isPrivate": True,
        "hasIssuesEnabled": True,
        "viewerPermission": "ADMIN",
        "defaultBranchRef": {"name": "main"},
        "createdAt": CREATED,
    }


@pytest.mark.parametrize(
    ("credential", "host", "server"),
    [
        ("github", "github.com", "api.github.com"),
        ("github-enterprise:git.corp.test", "git.corp.test", "git.corp.test"),
    ],
)
def test_gh_reads_what_is_private(user: User, credential: str, host: str, server: str) -> None:
    """By REST and by GraphQL; it believes that its placeholder is the token."""
    user.internet.serve(server, api)
    user.grant(credential, TOKEN)
    said = user.ok(
        f"gh api --hostname {host} user --jq .login; gh repo view {host}/octocat/hello;"
        f" gh auth token --hostname {host}",
        credential,
    )
    assert "octocat\n" in said
    assert "A private repository" in said
    assert "Hello, reader." in said
    assert TOKEN not in said
    assert said.splitlines()[-1].startswith("ghp_")
    assert all(TOKEN in each.text for each in user.internet.asked)
    user.never_shown(TOKEN)


def test_git_pushes_and_fetches(user: User, tmp_path: Path) -> None:
    """Over HTTPS, by what it has in its environment alone: it asks for no password."""
    served = tmp_path / "served"
    bare = served / "octocat" / "hello.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
    wanted = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    user.grant("github", TOKEN)
    with GitOrigin(served, user.internet.context("github.com"), wanted) as origin:
        user.internet.lead("github.com", origin.port)
        user.ok(
            "export GIT_TERMINAL_PROMPT=0\n"
            "git clone -q https://github.com/octocat/hello.git && cd hello\n"
            # Large enough for a body in chunks.
            "head -c 3000000 /dev/urandom > large && git add large\n"
            "git -c user.name=A -c user.email=a@x.test commit -qm Begin && git push -q origin main\n"
            "git clone -q https://github.com/octocat/hello ../again && cmp large ../again/large",
            "github",
        )
        assert origin.refused == 0
    assert (
        "Begin"
        in subprocess.run(
            ["git", "-C", bare, "log", "--format=%s", "main"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    user.never_shown(TOKEN)


def test_git_without_the_grant_is_told_so(user: User) -> None:
    """The policy is strict, so the host doesn't exist; nothing is asked of anybody."""
    user.grant("github", TOKEN)
    done = user.run("GIT_TERMINAL_PROMPT=0 git clone -q https://github.com/octocat/hello.git")
    assert done.returncode != 0
    assert user.internet.asked == []
    rows = user.moat.ok("trace", "--denied", "--json").splitlines()
    assert any(json.loads(row)["host"] == "github.com" for row in rows)
