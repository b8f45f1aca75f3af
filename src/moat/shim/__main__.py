"""Started as `python -I -S .../moat/shim/__main__.py LISTENER EXITS`, by the supervisor.

`-I` and `-S` keep the environment, the working directory and site-packages out, so the one path
that is needed is named here.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from moat.shim.main import main

# Nothing but the listener: whatever else was inherited would reach the sandbox.
os.closerange(int(sys.argv[1]) + 1, os.sysconf("SC_OPEN_MAX"))
main(int(sys.argv[1]), sys.argv[2])
