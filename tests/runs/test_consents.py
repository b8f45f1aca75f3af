"""What the user has agreed to, by folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.full_disk import files_of_at_most

from moat.errors import StoreError
from moat.runs.agreement import Line
from moat.runs.consents import LIMIT, agree, agreements, all_agreements, forget

ONE, TWO = Path("/one"), Path("/two")


def lines(*values: str) -> tuple[Line, ...]:
    return tuple(Line("network.allow", each, opens=True) for each in values)


def known(home: Path, folder: Path) -> list[tuple[Line, ...]]:
    return [each.lines for each in agreements(home, folder)]


def test_each_folder_has_agreements_of_its_own(tmp_path: Path) -> None:
    """The newest comes first, and the same lines are agreed to once."""
    agree(tmp_path, ONE, lines("a"))
    agree(tmp_path, ONE, lines("a", "b"))
    agree(tmp_path, ONE, lines("a"))
    agree(tmp_path, TWO, lines("c"))
    assert known(tmp_path, ONE) == [lines("a"), lines("a", "b")]
    assert known(tmp_path, Path("/none")) == []
    assert list(all_agreements(tmp_path)) == ["/one", "/two"]
    assert stat.S_IMODE((tmp_path / "consents.json").stat().st_mode) == 0o600


def test_a_folder_that_is_no_unicode_has_agreements_too(tmp_path: Path) -> None:
    """A path is bytes."""
    folder = Path("/odd\udcff")
    agree(tmp_path, folder, lines("\ud800"))
    assert known(tmp_path, folder) == [lines("\ud800")]


def test_the_oldest_agreements_are_dropped(tmp_path: Path) -> None:
    """A file that changes every day doesn't make the store grow for ever."""
    for number in range(LIMIT + 2):
        agree(tmp_path, ONE, lines(str(number)))
    assert known(tmp_path, ONE) == [lines(str(number)) for number in range(LIMIT + 1, 1, -1)]


def test_what_was_agreed_to_is_forgotten(tmp_path: Path) -> None:
    """The answer tells whether there was anything."""
    agree(tmp_path, ONE, lines("a"))
    assert forget(tmp_path, ONE)
    assert not forget(tmp_path, ONE)
    assert all_agreements(tmp_path) == {}


def test_a_full_disk_leaves_the_agreements_of_before(tmp_path: Path) -> None:
    """The error says so; nobody relies on consent that was not saved."""
    agree(tmp_path, ONE, lines("a"))
    with files_of_at_most(8), pytest.raises(StoreError, match="the agreement can't be saved"):
        agree(tmp_path, ONE, lines("b"))
    assert known(tmp_path, ONE) == [lines("a")]


@pytest.mark.parametrize("text", ["{", "[]", '{"/one": 3}', '{"/one": [{"lines": []}]}'])
def test_a_damaged_file_is_an_error(tmp_path: Path, text: str) -> None:
    """It is neither taken for consent nor written over."""
    (tmp_path / "consents.json").write_text(text)
    with pytest.raises(StoreError, match=r"consents\.json can't be read"):
        agreements(tmp_path, ONE)
    with pytest.raises(StoreError):
        agree(tmp_path, ONE, lines("a"))
    assert (tmp_path / "consents.json").read_text() == text
