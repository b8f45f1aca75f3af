"""`moat`, and `python -m moat`."""

from __future__ import annotations

import sys


def main() -> None:
    from moat.cli.main import run  # noqa: PLC0415  `--version` of a broken install should still work

    sys.exit(run())


if __name__ == "__main__":
    main()
