"""The clean-up's earlier place, for shims that were started before it moved.

A shim is told at its start which program to run at the command's end, and lives as long as the
command. Remove this module in 0.2: by then no run that was started before the move is alive.
"""

from __future__ import annotations

import sys

from moat.workspace.cleanup import main

if __name__ == "__main__":
    main(sys.argv[1])
