"""The documents agree with the code, as far as a program can tell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from scripts import state_table

from moat.cli.main import moat
from moat.config import agent_file
from moat.config.original_fields import INSTEAD
from moat.runs.states import State

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
ARCHITECTURE = ROOT / "docs" / "architecture.md"

# The `moat` command lines in blocks of shell, up to a redirection, a pipe or a comment.
TOUR = re.findall(
    r"(?:^|\| |&& |\$ )moat ([^#|&>\n]+)",
    "".join(
        re.findall(r"```(?:sh|console)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    ),
    re.MULTILINE,
)

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def test_the_state_table_is_the_codes() -> None:
    """docs/architecture.md shows the transitions of `moat.runs.states`."""
    document = ARCHITECTURE.read_text()
    assert state_table.replaced(document) == document, "run: python scripts/state_table.py --write"


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained(state: State) -> None:
    """Every state that a listing can show is explained in the concepts."""
    assert f"`{state}`" in (ROOT / "docs" / "concepts.md").read_text()


def test_fields_of_the_original_are_explained() -> None:
    """The page for its users names each field that an error explains."""
    page = (ROOT / "docs" / "from-moat-go.md").read_text()
    assert [name for name in INSTEAD if not re.search(rf"`{name}\b", page)] == []


@named
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file or folder that exists."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_the_agent_file_of_the_tour_is_valid(tmp_path: Path) -> None:
    """The `agent.yaml` of the README is accepted."""
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "agent.yaml"
    file.write_text(example)
    assert agent_file.load(file).content["command"]


@pytest.mark.parametrize("line", TOUR)
def test_the_commands_of_the_tour_are_understood(line: str) -> None:
    """Every command line of the README uses a command and options that exist."""
    name, *arguments = shlex.split(line)
    command = moat.get_command(click.Context(moat), name)
    assert command is not None
    command.make_context(name, arguments).close()


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts_and_is_listed(record: Path) -> None:
    """A record has its number, its four parts, and a line in the index and in architecture.md."""
    text = record.read_text()
    number = DECISIONS.index(record) + 1
    assert record.name.startswith(f"{number:04}-")
    assert text.startswith(f"# {number}. ")
    parts = re.findall(r"^(Status): \w+|^## (\w+)$", text, re.MULTILINE)
    assert [*map("".join, parts)] == ["Status", "Context", "Decision", "Consequences"]
    assert f"({record.name})" in (record.parent / "README.md").read_text()
    assert f"(decisions/{record.name})" in ARCHITECTURE.read_text()


@named
def test_targets_of_make_exist(document: Path) -> None:
    """Every `make x` that a document names is in the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named_there = set(
        re.findall(r"(?:`|^)make ([a-z][a-z0-9-]*)", document.read_text(), re.MULTILINE)
    )
    assert named_there <= targets
