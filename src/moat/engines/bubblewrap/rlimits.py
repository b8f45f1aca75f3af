"""What a run may use up, and who sees to it.

A cgroup (version 2) bounds all processes of a run together. It takes a cgroup above ours in which
we may make another, and which hands its controllers down. Where there is none, each process is
bounded by resource limits instead, which is less; `Bounds.words` says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.spec import Limits

_PERIOD: Final = 100_000
"""Microseconds; the kernel's default for cpu.max."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How the limits of one run are kept."""

    cgroup: str | None = None
    """Folder; whoever becomes the sandbox writes itself into its `cgroup.procs` first."""
    rlimits: Mapping[str, int] = field(default_factory=dict[str, int])
    """RLIMIT names without their prefix."""
    processors: tuple[int, ...] = ()
    """For `os.sched_setaffinity`; empty is no bound."""
    words: tuple[str, ...] = ()
    """For people: one line for each limit, with what it really bounds."""


def apply(limits: Limits, run_id: str) -> Bounds:
    """Make the run's cgroup if there can be one, else say which resource limits to set."""
    wanted = _cgroup_settings(limits)
    if not wanted:
        return Bounds()
    parent = delegating_cgroup(frozenset(name.partition(".")[0] for name in wanted))
    if parent is not None:
        made = _make_cgroup(parent / f"moat-{run_id}", wanted)
        if made is not None:
            return Bounds(cgroup=str(made), words=_words(limits, together=True))
    return Bounds(
        rlimits=rlimits(limits),
        processors=processors(limits),
        words=_words(limits, together=False),
    )


def release(cgroup: str) -> None:
    """Remove the cgroup of a run that is over."""
    Path(cgroup).rmdir()


def rlimits(limits: Limits) -> dict[str, int]:
    """Bounds of each process alone.

    DATA, not AS: node, Go and the JVM reserve far more addresses than they ever use. NPROC counts
    per user and user namespace since Linux 5.14, so within one sandbox; root is exempt.
    """
    bounds = {"DATA": limits.memory, "NPROC": limits.pids}
    return {name: value for name, value in bounds.items() if value is not None}


def processors(limits: Limits) -> tuple[int, ...]:
    """As many whole processors as `limits.cpus` needs, of those that we may use."""
    if limits.cpus is None:
        return ()
    ours = sorted(os.sched_getaffinity(0))
    return tuple(ours[: max(1, -int(-limits.cpus // 1))])


def delegating_cgroup(controllers: frozenset[str]) -> Path | None:
    """The nearest cgroup above ours that lets us make a child with these controllers.

    Above, for a cgroup that has processes, as ours does, can't hand controllers down (cgroups(7),
    "no internal processes"). A process may only be moved by who may write to the `cgroup.procs` of
    the nearest cgroup above both places: here, that is the one we return.
    """
    ours = _own_cgroup()
    if ours is None:
        return None
    mount, own = ours
    for folder in _above(mount, own):
        if not os.access(folder, os.W_OK) or not os.access(folder / "cgroup.procs", os.W_OK):
            return None  # what lies further up belongs to others still
        if controllers <= _words_of(folder / "cgroup.subtree_control"):
            return folder
    return None


def _own_cgroup() -> tuple[Path, Path] | None:
    """(where version 2 is mounted, our folder in it); `None` without version 2."""
    own = next(
        (
            line.removeprefix("0::")
            for line in Path("/proc/self/cgroup").read_text().splitlines()
            if line.startswith("0::")
        ),
        None,
    )
    mount = next(_cgroup_mounts(), None)
    if own is None or mount is None or ".." in Path(own).parts:
        return None
    return mount, mount / own.lstrip("/")


def _cgroup_mounts() -> Iterator[Path]:
    """proc_pid_mountinfo(5): field 5 is the mount point; behind the dash comes the type."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            yield Path(place.split()[4])


def _above(mount: Path, own: Path) -> Iterator[Path]:
    if own == mount:
        yield own  # the root of all cgroups may have processes and children; so it is tried
    for folder in own.parents:
        if folder.is_relative_to(mount):
            yield folder


def _words_of(file: Path) -> frozenset[str]:
    return frozenset(file.read_text().split())


def _cgroup_settings(limits: Limits) -> dict[str, str]:
    settings: dict[str, str] = {}
    if limits.memory is not None:
        settings |= {"memory.max": str(limits.memory), "memory.swap.max": "0"}
    if limits.pids is not None:
        settings["pids.max"] = str(limits.pids)
    if limits.cpus is not None:
        settings["cpu.max"] = f"{max(1000, round(limits.cpus * _PERIOD))} {_PERIOD}"
    return settings


def _make_cgroup(folder: Path, settings: Mapping[str, str]) -> Path | None:
    """`None` where the kernel won't have it: the caller has another way."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    try:
        for name, value in settings.items():
            if name == "memory.swap.max" and not (folder / name).exists():
                continue  # a kernel that doesn't count swap
            (folder / name).write_text(value)
    except OSError:
        folder.rmdir()
        return None
    return folder


def _words(limits: Limits, *, together: bool) -> tuple[str, ...]:
    who = "all processes together (cgroup)" if together else "each process alone (rlimit)"
    lines: list[str] = []
    if limits.memory is not None:
        lines.append(f"memory: {limits.memory >> 20} MiB for {who}")
    if limits.pids is not None:
        counted = "cgroup" if together else "rlimit; not enforced when root runs moat"
        lines.append(f"processes and threads: {limits.pids} ({counted})")
    if limits.cpus is not None:
        how = (
            f"{limits.cpus:g} of all processors' time (cgroup)"
            if together
            else f"{len(processors(limits))} whole processors (affinity)"
        )
        lines.append(f"cpus: {how}")
    return tuple(lines)
