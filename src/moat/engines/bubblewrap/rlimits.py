"""A run's limits of memory, processes and processors, and how they are enforced.

A cgroup (version 2) limits all processes of a run together. It needs a cgroup above ours in which we
may create another, and which delegates its controllers. Where there is none, resource limits bound
each process by itself, which is less; `Bounds.descriptions` and `weaknesses` say so.

The number of processes has a bound in every run, so that a fork bomb takes no more than its share.
"""

from __future__ import annotations

import os
import platform
import re
import resource
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from moat.spec import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_PIDS: Final = 4096
"""Processes and threads of a run without a limit: more than builds need, and an eighth of a small
machine's (kernel.pid_max was 32,768 for decades)."""

_PIDS_OF_NAMESPACES: Final = (6, 14)
"""The kernel in which each pid namespace got a `kernel.pid_max` of its own."""
_RESERVED_PIDS: Final = 300
"""The kernel uses numbers below only once (RESERVED_PIDS in its pid.c)."""

_SHARED: Final = ("MSGQUEUE", "SIGPENDING")
"""Limits counted for all processes of a user: without a pending signal to spare, the user's
other programs get no timers. Since Linux 5.14, a limit in a sandbox is one for that sandbox."""
_SHARES: Final = 4
"""The parts into which these are divided: a run gets one of them."""

_PERIOD: Final = 100_000
"""Microseconds: the kernel's default period for cpu.max."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The mechanisms that enforce the limits of one run."""

    cgroup: str | None = None
    """The cgroup's folder. The process that becomes the sandbox joins it (`cgroup.procs`) first."""
    rlimits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Limits for setrlimit(2), by name without the prefix RLIMIT_."""
    processors: tuple[int, ...] = ()
    """Processors for `os.sched_setaffinity`; empty for no limit."""
    pid_max: int | None = None
    """`kernel.pid_max` of the sandbox's pid namespace: of all that bounds processes, root included."""
    descriptions: tuple[str, ...] = ()
    """A line for each limit that tells people what it really bounds."""

    @classmethod
    def of(cls, limits: Limits, cgroup: str | None) -> Self:
        """Return what enforces these limits in this cgroup; without one, each process is bounded."""
        if cgroup is not None:
            counted = limits.pids is not None
            return cls(
                cgroup=cgroup,
                rlimits=shared_rlimits() if counted else rlimits(Limits()),
                pid_max=None if counted else _pid_max(limits),
                descriptions=_descriptions(limits, together=True),
            )
        return cls(
            rlimits=rlimits(limits),
            processors=processors(limits),
            pid_max=_pid_max(limits),
            descriptions=_descriptions(limits, together=False),
        )


def apply(limits: Limits, run_id: str) -> Bounds:
    """Create the run's cgroup if possible; otherwise choose the resource limits to set."""
    wanted = _cgroup_settings(limits)
    if not wanted:
        return Bounds.of(limits, None)
    parent = delegating_cgroup(frozenset(name.partition(".")[0] for name in wanted))
    if parent is not None:
        made = _make_cgroup(parent / f"moat-{run_id}", wanted)
        if made is not None:
            return Bounds.of(limits, str(made))
    return Bounds.of(limits, None)


def release(cgroup: str) -> None:
    """Remove the cgroup of a run that has ended; raises `OSError` while a process is left in it."""
    Path(cgroup).rmdir()


def rlimits(limits: Limits) -> dict[str, int]:
    """Return the resource limits of each process by itself.

    Memory is limited by DATA and not by AS, because node, Go and the JVM reserve far more address
    space than they ever use. Since Linux 5.14, NPROC counts per user and user namespace, so within
    one sandbox; root is exempt.
    """
    bounds = {"NPROC": limits.pids or DEFAULT_PIDS, **shared_rlimits()}
    return bounds if limits.memory is None else {"DATA": limits.memory, **bounds}


def shared_rlimits() -> dict[str, int]:
    """Return the limits that a run has for the sake of the host, whatever else bounds it.

    Where a process of the host crashes, the kernel runs the program of `kernel.core_pattern` as root,
    and so it would for a command in a sandbox, with a core of the command's making. A limit of 0 doesn't
    prevent that, but 1 does (core(5)), and no core file is that small. Only root may raise a 0.
    """
    _, core = resource.getrlimit(resource.RLIMIT_CORE)
    bounds = {} if core == 0 and os.geteuid() != 0 else {"CORE": 1}
    for name in _SHARED:
        _, most = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        if most != resource.RLIM_INFINITY:
            bounds[name] = most // _SHARES
    return bounds


def _pid_max(limits: Limits) -> int | None:
    """Return the limit for the sandbox's pid namespace; `None` where a kernel has one for all.

    Root that wrote it there would change the host's.
    """
    version = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
    if version < _PIDS_OF_NAMESPACES:
        return None
    return (limits.pids or DEFAULT_PIDS) + _RESERVED_PIDS


def processors(limits: Limits) -> tuple[int, ...]:
    """Return as many whole processors as `limits.cpus` needs, of those that we may use."""
    if limits.cpus is None:
        return ()
    ours = sorted(os.sched_getaffinity(0))
    return tuple(ours[: max(1, -int(-limits.cpus // 1))])


def delegating_cgroup(controllers: frozenset[str]) -> Path | None:
    """Return the nearest cgroup above ours in which we can create a child with these controllers.

    Ours won't do: it has processes, and such a cgroup can't delegate controllers (cgroups(7), "no
    internal processes"). To move a process one must be allowed to write the `cgroup.procs` of the
    nearest cgroup above both places, which is the one returned.
    """
    ours = _own_cgroup()
    if ours is None:
        return None
    mount, own = ours
    for folder in _above(mount, own):
        if not os.access(folder, os.W_OK) or not os.access(folder / "cgroup.procs", os.W_OK):
            return None  # and those further up belong to others too
        if controllers <= _read_words(folder / "cgroup.subtree_control"):
            return folder
    return None


def _own_cgroup() -> tuple[Path, Path] | None:
    """Return where cgroup version 2 is mounted and our folder in it; `None` without version 2."""
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
    """Yield the mount points of cgroup version 2.

    In proc_pid_mountinfo(5), field 5 is the mount point, and the type follows the dash.
    """
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            yield Path(place.split()[4])


def _above(mount: Path, own: Path) -> Iterator[Path]:
    if own == mount:
        yield own  # the root cgroup may have both processes and children
    for folder in own.parents:
        if folder.is_relative_to(mount):
            yield folder


def _read_words(file: Path) -> frozenset[str]:
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
    """Create a cgroup with these settings; `None` where the kernel refuses it."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    try:
        for name, value in settings.items():
            if name == "memory.swap.max" and not (folder / name).exists():
                continue  # this kernel doesn't account for swap
            (folder / name).write_text(value)
    except OSError:
        folder.rmdir()
        return None
    return folder


def _descriptions(limits: Limits, *, together: bool) -> tuple[str, ...]:
    scope = "all processes together (cgroup)" if together else "each process alone (rlimit)"
    lines: list[str] = []
    if limits.memory is not None:
        lines.append(f"memory: {limits.memory >> 20} MiB for {scope}")
    if limits.pids is not None:
        mechanism = "cgroup" if together else f"rlimit, {_pids_for_root(limits)}"
        lines.append(f"processes and threads: {limits.pids} ({mechanism})")
    if limits.cpus is not None:
        amount = (
            f"{limits.cpus:g} of all processors' time (cgroup)"
            if together
            else f"{len(processors(limits))} whole processors (affinity)"
        )
        lines.append(f"cpus: {amount}")
    return tuple(lines)


def _pids_for_root(limits: Limits) -> str:
    if _pid_max(limits) is None:
        return "which doesn't bind root"
    return f"and {_RESERVED_PIDS} more at most if root runs moat"


def weaknesses(limits: Limits) -> list[str]:
    """Return a line for each limit that was asked for and that a program can get around here."""
    wanted = {"memory": limits.memory, "cpu": limits.cpus, "pids": limits.pids}
    controllers = frozenset(name for name, value in wanted.items() if value is not None)
    if not controllers or delegating_cgroup(controllers) is not None:
        return []
    lines: list[str] = []
    if limits.memory is not None:
        lines.append(
            "the limit of memory is one of each process by itself, and counts no shared memory and no "
            "files in memory"
        )
    if limits.cpus is not None:
        lines.append(
            f"the run gets {len(processors(limits))} whole processors, which others may use as well"
        )
    if limits.pids is not None and os.geteuid() == 0:
        lines.append(f"the limit of processes is kept by an rlimit, {_pids_for_root(limits)}")
    return [f"{line}: no cgroup is delegated to you (see moat doctor)" for line in lines]
