"""The entry point of `moat` and of `python -m moat`."""

from __future__ import annotations

import gc
import sys

from moat.agents import SHIPPED
from moat.platform import descriptors


def main() -> None:
    # What is imported stays: to look for garbage in it takes a tenth of the start.
    gc.set_threshold(50_000)
    descriptors.open_missing()
    supervisor = None
    if sys.argv[1:2] and sys.argv[1] in {"run", *SHIPPED}:
        from moat.client.connect.standby import begin  # noqa: PLC0415  for those that start a run

        supervisor = begin()  # first of all: it loads while this process does
    from moat.cli.stdio import prepare  # noqa: PLC0415  loads slowly

    prepare()
    from moat.cli.plain.dispatch import plain_command  # noqa: PLC0415

    if (command := plain_command(sys.argv[1:], supervisor)) is not None:
        from moat.cli.outcome import outcome  # noqa: PLC0415

        sys.exit(outcome(command))
    from moat.cli.main import run  # noqa: PLC0415  loads slowly, too

    sys.exit(run(supervisor=supervisor))


if __name__ == "__main__":
    main()
