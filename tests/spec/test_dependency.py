"""The notation of dependencies, in which nothing is an option, a path or a command."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.spec.dependency import KINDS, Dependency

_SAFE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@:+._~/,\[\]-]*")


@pytest.mark.parametrize(
    ("text", "kind", "name", "version"),
    [
        ("node", "", "node", ""),
        ("node@22", "", "node", "22"),
        ("build-essential", "", "build-essential", ""),
        ("claude-code@latest", "", "claude-code", "latest"),
        ("apt:g++", "apt", "g++", ""),
        ("apt:libpq-dev@1:15.3-0+deb12u1", "apt", "libpq-dev", "1:15.3-0+deb12u1"),
        ("npm:left-pad@1", "npm", "left-pad", "1"),
        ("npm:@scope/tool", "npm", "@scope/tool", ""),
        ("npm:@scope/tool@2.0.0-rc.1", "npm", "@scope/tool", "2.0.0-rc.1"),
        ("pip:uvicorn[standard]@0.30", "pip", "uvicorn[standard]", "0.30"),
        ("uv:ruff", "uv", "ruff", ""),
        ("cargo:cargo-nextest@0.9", "cargo", "cargo-nextest", "0.9"),
        ("go:golang.org/x/tools/gopls@v0.16.1", "go", "golang.org/x/tools/gopls", "v0.16.1"),
    ],
)
def test_a_dependency_is_read(text: str, kind: str, name: str, version: str) -> None:
    """And written again as it was."""
    found = Dependency.parse(text)
    assert found == Dependency(kind, name, version)
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node@",
        "@22",
        "-y",
        "node --unsafe",
        "node;id",
        "$(id)",
        "node@22 ",
        "node@22\nRUN id",
        "node@22\n",
        "npm:",
        "npm:--global",
        "npm:../x",
        "npm:x@file:/etc",
        "npm:https://example.com/x.tgz",
        "npm:you/repository",
        "pip:x==1",
        "pip:x @ https://example.com/x.whl",
        "pip:-r",
        "apt:git-",
        "apt:git/sid",
        "apt:./x.deb",
        "apt:*",
        "go:../x",
        "go:localhost/x",
        "go:example.com/../x",
        "cargo:--git",
        "x" * 300,
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    """Options, addresses, paths, commands, and lines of a recipe."""
    with pytest.raises(ValueError, match="is no dependency"):
        Dependency.parse(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("nmp:typescript", "did you mean npm:typescript?"),
        ("node:22", "a version follows @, as in node@22"),
        ("gem:rails --pre", "the kinds are apt, npm, pip, uv, cargo, go"),
        ("python==3.12", "write it like node@22"),
        ("pip:requests==2", "write it like pip:requests@2"),
    ],
)
def test_a_mistake_is_explained(text: str, remedy: str) -> None:
    """By what was probably meant."""
    with pytest.raises(ValueError, match=re.escape(remedy)):
        Dependency.parse(text)


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"(apt|npm|pip|uv|cargo|go):.{1,20}(@.{1,20})?", fullmatch=True),
        st.text(alphabet="abc:@/.-+~[],=$`;\\\n \x00\x1b*'\"", max_size=20),
    )
)
def test_whatever_passes_is_a_harmless_word(text: str) -> None:
    """It has no space, no sign that a shell or a package manager acts on, and is no option."""
    try:
        found = Dependency.parse(text)
    except ValueError:
        return
    assert str(found) == text
    assert found.kind in {"", *KINDS}
    for word in filter(None, (found.name, found.version)):
        assert _SAFE.fullmatch(word)
        assert ".." not in word.split("/")
