"""What the next supervisor finds: synthetic addresses, and added rules."""

from __future__ import annotations

import errno
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.full_disk import files_of_at_most

from moat.egress import persistence
from moat.egress.dns import synthetic_ips
from moat.egress.persistence import PersistentAddresses, read_rules, write_rules

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = "198.18.0.1", "198.18.0.2", "198.18.0.3"


def test_names_keep_their_addresses(tmp_path: Path) -> None:
    """Programs remember the addresses that the last supervisor gave them."""
    path = tmp_path / "names"
    with closing(PersistentAddresses(path)) as names:
        assert [names.address("a.test"), names.address("b.test")] == [FIRST, SECOND]
    with closing(PersistentAddresses(path)) as names:
        assert names.name(SECOND) == "b.test"
        assert [names.address("c.test"), names.address("a.test")] == [THIRD, FIRST]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("rest", ["b", "b.tes", "b.test"])
def test_a_name_that_was_not_written_whole_was_given_to_nobody(tmp_path: Path, rest: str) -> None:
    """The supervisor was killed before it could tell the address."""
    path = tmp_path / "names"
    path.write_text(f"a.test\n{rest}")
    with closing(PersistentAddresses(path)) as names:
        assert names.name(SECOND) is None
        assert names.address("c.test") == SECOND
    assert path.read_text() == "a.test\nc.test\n"


@pytest.mark.parametrize("room", [7, 10])
def test_on_a_full_disk_no_name_is_written_in_part(tmp_path: Path, room: int) -> None:
    """A part of a name would shift all later names by one for the next supervisor."""
    path = tmp_path / "names"
    with closing(PersistentAddresses(path)) as names:
        names.address("a.test")
        with files_of_at_most(room), pytest.raises(OSError) as caught:
            names.address("b.test")
        assert caught.value.errno in {errno.EFBIG, errno.ENOSPC}
        assert names.address("c.test") == SECOND
    assert path.read_text() == "a.test\nc.test\n"


def test_an_address_that_was_given_again_is_known_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file stays small, however often addresses are reused."""
    for module in (persistence, synthetic_ips):
        monkeypatch.setattr(module, "LIMIT", 4)
    path = tmp_path / "names"
    with closing(PersistentAddresses(path)) as names:
        for number in range(23):
            names.address(f"{number}.test")
            assert len(path.read_text().splitlines()) <= 8
    with closing(PersistentAddresses(path)) as names:
        assert {names.name(address) for address in (FIRST, SECOND, THIRD, "198.18.0.4")} == {
            "19.test", "20.test", "21.test", "22.test",
        }  # fmt: skip
        assert names.address("22.test") == THIRD
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["names"]


def test_rules_are_kept_newest_first(tmp_path: Path) -> None:
    """All rules are replaced, or none."""
    path = tmp_path / "additions.json"
    assert read_rules(path) == []
    write_rules(path, ["deny b.test", "allow a.test"])
    with files_of_at_most(4), pytest.raises(OSError):
        write_rules(path, ["allow evil.test"])
    assert read_rules(path) == ["deny b.test", "allow a.test"]


@pytest.mark.parametrize("text", ["", "[", "\0\0\0"])
def test_rules_that_can_not_be_read_are_not_taken_for_none(tmp_path: Path, text: str) -> None:
    """A denial may have been in a damaged file."""
    path = tmp_path / "additions.json"
    path.write_text(text)
    with pytest.raises(OSError, match="damaged"):
        read_rules(path)
