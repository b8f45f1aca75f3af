"""The table of the figures, for the terminal and for README.md."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from measure import Figure

README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures: python bench --write -->\n", "<!-- end of figures -->\n"


class Report:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._figures: dict[str, dict[str, Figure]] = {}

    def add(self, name: str, figures: Iterable[Figure]) -> None:
        for figure in figures:
            self._figures.setdefault(figure.what, {})[name] = figure

    def table(self) -> str:
        """Return the table in Markdown, with Moat's advantage next to each other program's figure.

        A factor of 2 means that Moat is twice as good.
        """
        head = ("", *self._names)
        rows = [head, tuple("---" for _ in head)]
        for what, by_name in self._figures.items():
            cells = (_cell(by_name.get(name), by_name["moat"]) for name in self._names)
            rows.append((what, *cells))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
            for row in rows
        )

    def write(self) -> None:
        text = README.read_text()
        before, _, rest = text.partition(_BEGIN)
        _, _, after = rest.partition(_END)
        README.write_text(f"{before}{_BEGIN}\n{machine()}\n\n{self.table()}\n\n{_END}{after}")


def _cell(figure: Figure | None, ours: Figure) -> str:
    if figure is None:
        return ""
    digits = ".0f" if figure.value >= 1000 else ".3g"
    text = f"{figure.value:{digits}} {figure.unit}".strip()
    if figure is ours or not ours.value or not figure.value:
        return text
    ratio = ours.value / figure.value if figure.more_is_better else figure.value / ours.value
    return f"{text} (×{ratio:.2g})"  # noqa: RUF001  a multiplication sign


def machine() -> str:
    """Describe the machine and the versions of the programs that were compared."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    kernel = platform.release().partition("-")[0]
    versions = [
        f"Python {platform.python_version()}",
        *(
            _first_line(argv)
            for argv in (["tmux", "-V"], ["dtach", "--version"], ["docker", "--version"])
            if shutil.which(argv[0])
        ),
    ]
    return f"{model}, {os.cpu_count()} processors, Linux {kernel}; {', '.join(versions)}."


def _first_line(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]
