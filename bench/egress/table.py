"""The figures in Markdown, for the terminal and for README.md."""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import statistics
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lab import Figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- egress: begin -->\n", "<!-- egress: end -->"
HEADS = ("", "requests/s", "CPU µs/request", "p50 µs, alone", "new conn./s", "CPU µs/new conn.",
         "CPU s/GB", "event p50 ms", "peak RSS MB")  # fmt: skip
DIGITS = (",.0f", ".0f", ".0f", ",.0f", ".0f", ".2f", ".2f", ".0f")


def text(rounds: Mapping[str, Sequence[Figures]]) -> str:
    medians = {name: _medians(figures) for name, figures in rounds.items()}
    lines = [_row(HEADS), "|---" * len(HEADS) + "|"]
    for name, figures in medians.items():
        cells = (f"{value:{digits}}" for value, digits in zip(figures, DIGITS, strict=True))
        lines.append(_row((name, *cells)))
    ours = medians["moat"]
    for name, figures in medians.items():
        if name.startswith(("squid", "mitm")):
            lines.append(f"\nMoat against {name}: {_comparison(rounds['moat'], rounds[name])}.")
        elif name.startswith("tunnel"):
            more = ours.alone_us - figures.alone_us
            lines.append(f"\nMoat over the {name}: {more:.0f} µs more per request, alone.")
        elif name.startswith("moat,"):
            compared = _comparison(rounds[name], rounds["moat"])
            how = "with" + name.removeprefix("moat,").replace(" no ", "out ")
            lines.append(f"\nMoat {how}, against moat: {compared}.")
    lines.append(f"\n{_machine()}")
    return "\n".join(lines)


def write(table: str) -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}{table}\n{END}{rest.partition(END)[2]}")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _medians(rounds: Sequence[Figures]) -> Figures:
    return Figures(*map(statistics.median, zip(*rounds, strict=True)))


def _comparison(ours: Sequence[Figures], theirs: Sequence[Figures]) -> str:
    """Describe the ratios within each round by their median and range."""
    columns = {
        "requests": "the requests/s",
        "cpu_us": "the CPU per request",
        "new": "the new connections/s",
        "new_cpu_us": "the CPU per new connection",
        "cpu_gb": "the CPU per GB",
    }
    parts: list[str] = []
    for field, what in columns.items():
        ratios = sorted(
            getattr(our, field) / getattr(their, field)
            for our, their in zip(ours, theirs, strict=True)
        )
        middle = statistics.median(ratios)
        parts.append(f"{middle:.2f} x {what} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return ", ".join(parts)


def _machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = [f"Python {platform.python_version()}", ssl.OPENSSL_VERSION]
    for command in (["nginx", "-v"], ["squid", "-v"], ["tinyproxy", "-v"]):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            versions.append((done.stdout or done.stderr).splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, Linux {platform.release()}; {', '.join(versions)}."
