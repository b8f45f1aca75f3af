"""A run's limits: by cgroup where one is delegated, by resource limits elsewhere."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap import rlimits
from moat.spec import Limits

if TYPE_CHECKING:
    from pathlib import Path

ALL = Limits(memory=512 << 20, cpus=1.5, pids=100)


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a cgroup slice with our cgroup in it: few machines have one."""
    ours = tmp_path / "slice" / "ours"
    ours.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "slice", ours):
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.subtree_control").write_text("")
    (tmp_path / "slice" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    monkeypatch.setattr(rlimits, "_own_cgroup", lambda: (tmp_path, ours))
    return tmp_path / "slice"


def test_without_limits_only_what_is_shared_is_bounded() -> None:
    """A fork bomb takes no more than its share; no cgroup is created for that."""
    bounds = rlimits.apply(Limits(), "abc")
    assert (bounds.cgroup, bounds.rlimits) == (None, {"NPROC": 4096, **rlimits.shared_rlimits()})
    assert bounds.descriptions == ()


def test_a_crash_starts_no_program_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of 1 keeps the kernel from it, and whoever isn't root can't raise one of 0."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 400))
    assert rlimits.shared_rlimits() == {"CORE": 1, "MSGQUEUE": 100, "SIGPENDING": 100}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 0))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "CORE" not in rlimits.shared_rlimits()


@pytest.mark.parametrize(("release", "pid_max"), [("6.14.0-1-amd64", 4396), ("6.13.9", None)])
def test_older_kernels_have_one_number_of_processes(
    monkeypatch: pytest.MonkeyPatch, release: str, pid_max: int | None
) -> None:
    """What root wrote there would be the whole machine's."""
    monkeypatch.setattr(platform, "release", lambda: release)
    assert rlimits.apply(Limits(), "abc").pid_max == pid_max


def test_limits_that_can_be_got_around_are_told() -> None:
    """Without a cgroup, those that were asked for have a line each; others have none."""
    lines = rlimits.weaknesses(Limits(memory=512 << 20, cpus=1))
    assert [line.split()[:4] for line in lines] == [
        ["the", "limit", "of", "memory"],
        ["the", "run", "gets", "1"],
    ]
    assert all("no cgroup is delegated" in line for line in lines)
    assert rlimits.weaknesses(Limits()) == []


def test_a_delegated_cgroup_has_no_weakness(hierarchy: Path) -> None:
    """It counts what all processes have together."""
    assert hierarchy.is_dir()
    assert rlimits.weaknesses(ALL) == []


def test_a_cgroup_bounds_all_processes_together(hierarchy: Path) -> None:
    """It is created beside ours, which has processes and so can't delegate controllers."""
    bounds = rlimits.apply(ALL, "abc")
    made = hierarchy / "moat-abc"
    assert bounds.cgroup == str(made)
    assert bounds.rlimits == rlimits.shared_rlimits()
    assert {file.name: file.read_text() for file in made.iterdir()} == {
        "memory.max": "536870912",
        "pids.max": "100",
        "cpu.max": "150000 100000",
    }
    assert all("cgroup" in line for line in bounds.descriptions)


def test_without_the_controllers_there_is_no_cgroup(hierarchy: Path) -> None:
    """A cgroup that enforces half of the limits would be worse than none."""
    (hierarchy / "cgroup.subtree_control").write_text("memory\n")
    bounds = rlimits.apply(ALL, "abc")
    assert bounds.cgroup is None
    assert bounds.rlimits == {"DATA": 512 << 20, "NPROC": 100, **rlimits.shared_rlimits()}
    assert any("each process alone" in line for line in bounds.descriptions)
    assert rlimits.apply(Limits(memory=1 << 20), "def").cgroup == str(hierarchy / "moat-def")


def test_a_cgroup_is_removed_after_the_run(hierarchy: Path) -> None:
    """The kernel lets rmdir remove a cgroup's folder together with its files."""
    (hierarchy / "moat-abc").mkdir()
    rlimits.release(str(hierarchy / "moat-abc"))
    assert not (hierarchy / "moat-abc").exists()


def test_processors_are_whole_and_ours() -> None:
    """One and a half processors need two; there are never more than ours, and never none."""
    ours = sorted(os.sched_getaffinity(0))
    assert rlimits.processors(Limits(cpus=0.1)) == tuple(ours[:1])
    assert rlimits.processors(Limits(cpus=1.5)) == tuple(ours[:2])
    assert rlimits.processors(Limits(cpus=10_000)) == tuple(ours)
    assert rlimits.processors(Limits()) == ()


def bounded(*command: str) -> subprocess.CompletedProcess[str]:
    bound = rlimits.rlimits(Limits(memory=512 << 20))["DATA"]
    return subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (bound, bound)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_gets_no_more_memory_than_its_limit() -> None:
    """Allocating more fails, and runtimes that reserve far more address space start."""
    assert "MemoryError" in bounded(sys.executable, "-c", "bytearray(600 << 20)").stderr
    assert bounded(sys.executable, "-c", "bytearray(300 << 20)").returncode == 0
    assert bounded("node", "-e", "0").returncode == 0
