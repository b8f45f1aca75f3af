"""`moat`, and `python -m moat`."""

from __future__ import annotations

import sys


def main() -> None:
    from moat.cli.streams import prepare  # noqa: PLC0415  as below

    prepare()
    supervisor = None
    if sys.argv[1:2] == ["run"]:
        from moat.client.connect.standby import begin  # noqa: PLC0415  before all that takes time to load

        supervisor = begin()
    from moat.cli.main import run  # noqa: PLC0415  `--version` of a broken install should still work

    sys.exit(run(supervisor=supervisor))


if __name__ == "__main__":
    main()
