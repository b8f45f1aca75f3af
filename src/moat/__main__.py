"""The entry point of `moat` and of `python -m moat`."""

from __future__ import annotations

import sys


def main() -> None:
    from moat.cli.stdio import prepare  # noqa: PLC0415  for the same reason as cli.main below

    prepare()
    supervisor = None
    if sys.argv[1:2] == ["run"]:
        from moat.client.connect.standby import begin  # noqa: PLC0415  before the modules that load slowly

        supervisor = begin()
    from moat.cli.main import run  # noqa: PLC0415  `--version` works in a broken installation, too

    sys.exit(run(supervisor=supervisor))


if __name__ == "__main__":
    main()
