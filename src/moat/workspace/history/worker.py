"""Started as `python -I -m moat.workspace.history.worker RUN_FOLDER REASON LABEL`.

It takes a snapshot in a process of its own, with the lowest priority, so that a supervisor goes on with
everything else. The outcome is a JSON object on standard output; see `outcome`.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from moat.errors import MoatError
from moat.paths import RunFolder
from moat.spec import codec
from moat.workspace.history.taking import take

_LOWEST_PRIORITY = 19


def outcome(run: RunFolder, reason: str, label: str) -> dict[str, Any]:
    """Take a snapshot; return its head and digest, an empty object where none was due, or a failure."""
    try:
        rules = codec.loads(run.spec.read_text()).snapshots
        taken = take(run, rules, reason, label)
    except MoatError as error:
        return {"failure": error.summary, "hint": error.hint}
    except (OSError, ValueError) as exc:  # of the spec
        return {"failure": f"the snapshot can't be taken: {exc}", "hint": None}
    return {} if taken is None else taken.as_json()


def main() -> None:
    os.nice(_LOWEST_PRIORITY)
    gc.disable()  # as in `recorder`: hundreds of thousands of objects, and no cycles
    folder, reason, label = sys.argv[1:]
    result = outcome(RunFolder(Path(folder)), reason, label)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
