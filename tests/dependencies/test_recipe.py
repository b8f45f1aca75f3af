"""The text from which an image is built, its archive and its name."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.dependencies.entry import Entry
from moat.dependencies.plan import EntryStep, PackagesStep, ToolsStep
from moat.dependencies.recipe import Recipe, words
from moat.spec.dependency import KINDS, Dependency

FD = Entry(
    id="fd", title="fd", kind="tool", apt=("fd-find",), apk=("fd",), links={"fd": "/usr/bin/fdfind"}
)
GIT = Entry(id="git", title="Git", kind="tool", apt=("git", "ca-certificates"), apk=("git",))
JAVA = Entry(
    id="java",
    title="Java",
    kind="language",
    check=("java", "-version"),
    works=("javac -version",),
    apt=("default-jdk",),
    apt_version=("openjdk-{version}-jdk",),
    apk=("openjdk21",),
    apk_version=("openjdk{version}",),
    links={"java": "/usr/lib/jvm/{version}*/bin/java"},
)
NODE = Entry(
    id="node", title="Node", kind="language", default="22", pip="wheel", links={"node": "bin/node"}
)
CLAUDE = Entry(id="claude", title="Claude", kind="program", npm="@a/claude")
STEPS = (
    ToolsStep((FD, GIT)),
    EntryStep(NODE, "22"),
    PackagesStep("npm", (Dependency("npm", "x", "1"), Dependency("npm", "@s/y"))),
)
RECIPE = Recipe("0123abcd", STEPS, b"#!/bin/sh\n")


def test_a_recipe_can_be_read() -> None:
    """It is a Dockerfile in which no shell reads anything."""
    assert RECIPE.text.splitlines() == [
        "FROM 0123abcd",
        "USER 0",
        "WORKDIR /",
        'COPY ["install", "/opt/moat/"]',
        (
            'RUN ["/opt/moat/install", "entry", "tools", "--apt", "fd-find", "--apk", "fd",'
            ' "--link", "fd=/usr/bin/fdfind", "--check", "fd --version", "--apt",'
            ' "git ca-certificates", "--apk", "git", "--check", "git --version"]'
        ),
        (
            'RUN ["/opt/moat/install", "entry", "node", "--version", "22", "--pip",'
            ' "wheel==22.*", "--link", "node=bin/node", "--check", "node --version"]'
        ),
        'RUN ["/opt/moat/install", "npm", "x@1", "@s/y"]',
    ]


def test_steps_are_counted_as_engines_do() -> None:
    """So what is shown of a build is the step that is at work."""
    lines = RECIPE.text.splitlines()
    assert lines[RECIPE.lines_before - 1].startswith('RUN ["/opt/moat/install", "entry", "tools"')


@pytest.mark.parametrize(
    ("version", "apt", "apk", "link"),
    [
        ("", "default-jdk", "openjdk21", "/usr/lib/jvm/*/bin/java"),
        ("17", "openjdk-17-jdk", "openjdk17", "/usr/lib/jvm/17*/bin/java"),
    ],
)
def test_packages_of_a_version(version: str, apt: str, apk: str, link: str) -> None:
    """A distribution that has several names each by its version."""
    found = words(EntryStep(JAVA, version))
    assert found[found.index("--apt") + 1] == apt
    assert found[found.index("--apk") + 1] == apk
    assert found[found.index("--link") + 1] == f"java={link}"
    assert ("--version" in found) is bool(version)
    assert found[-4:] == ["--check", "java -version", "--check", "javac -version"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("apt:w", "w"),
        ("apt:w@1:2-3", "w=1:2-3"),
        ("npm:@s/x@1", "@s/x@1"),
        ("pip:y", "y"),
        ("pip:y@2.1", "y==2.1.*"),
        ("pip:y@2.1rc1", "y==2.1rc1"),
        ("uv:z@1", "z==1.*"),
        ("cargo:c", "c"),
        ("cargo:c@1", "c@~1"),
        ("cargo:c@1.2.3", "c@1.2.3"),
        ("go:example.com/g", "example.com/g@latest"),
        ("go:example.com/g@1.2", "example.com/g@v1.2"),
        ("go:example.com/g@v1.2", "example.com/g@v1.2"),
        ("go:example.com/g@main", "example.com/g@main"),
    ],
)
def test_a_package_in_its_manager_s_own_words(text: str, word: str) -> None:
    """A version is one, or the beginning of one."""
    package = Dependency.parse(text)
    assert words(PackagesStep(package.kind, (package,))) == [package.kind, word]


def test_a_program_of_npm() -> None:
    """In any version, or in one."""
    assert words(EntryStep(CLAUDE, ""))[:4] == ["entry", "claude", "--npm", "@a/claude"]
    assert "@a/claude@2.1" in words(EntryStep(CLAUDE, "2.1"))


def test_the_name_says_what_is_in_the_image() -> None:
    """Another base, step, script or authority makes another image; the same makes the same."""
    assert RECIPE.name == Recipe("0123abcd", STEPS, b"#!/bin/sh\n").name
    others = (
        replace(RECIPE, base="0123abce"),
        replace(RECIPE, steps=STEPS[:-1]),
        replace(RECIPE, install=b"#!/bin/sh -e\n"),
        replace(RECIPE, authorities="-----BEGIN CERTIFICATE-----"),
    )
    assert len({RECIPE.name, *(each.name for each in others)}) == 5


def test_the_archive_has_nothing_else_in_it() -> None:
    """Nothing of the workspace, and nothing that differs from time to time."""
    with tarfile.open(fileobj=io.BytesIO(RECIPE.context())) as archive:
        assert archive.getnames() == ["Dockerfile", "install"]
        assert archive.getmember("install").mode == 0o755
        recipe = archive.extractfile("Dockerfile")
        assert recipe is not None
        assert recipe.read().decode() == RECIPE.text
    assert RECIPE.context() == replace(RECIPE).context()


def test_authorities_are_copied_where_there_are_any() -> None:
    """The steps find them beside the script."""
    recipe = replace(RECIPE, authorities="-----BEGIN CERTIFICATE-----\n")
    assert 'COPY ["install", "authorities.pem", "/opt/moat/"]' in recipe.text
    with tarfile.open(fileobj=io.BytesIO(recipe.context())) as archive:
        assert archive.getnames() == ["Dockerfile", "install", "authorities.pem"]


@st.composite
def dependencies(draw: st.DrawFn) -> Dependency:
    """Whatever the notation lets pass, made from letters that it likes and dislikes."""
    kind = draw(st.sampled_from(KINDS))
    word = st.text(alphabet="ab1.-+~_@/[],\\\"'$ \n", min_size=1, max_size=12)
    text = f"{kind}:{draw(word)}{draw(st.one_of(st.just(''), word.map('@{}'.format)))}"
    try:
        return Dependency.parse(text)
    except ValueError:
        return Dependency(kind, "name", "1")


@given(st.lists(dependencies(), min_size=1, max_size=4))
def test_no_dependency_writes_a_line_of_the_recipe(packages: list[Dependency]) -> None:
    """Each step is one line: a JSON array of the words that were meant."""
    step = PackagesStep(packages[0].kind, tuple(packages))
    *_, last = Recipe("0123abcd", (step,), b"").text.splitlines()
    assert json.loads(last.removeprefix("RUN ")) == ["/opt/moat/install", *words(step)]
    assert "\\" not in last
