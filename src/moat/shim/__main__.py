"""Started as `python -I -S .../moat/shim/__main__.py LISTENER EXITS`, by the supervisor.

`-I` and `-S` keep the environment, the working directory and site-packages out, so the one path
that is needed is named here.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from moat.shim.main import main

main(int(sys.argv[1]), sys.argv[2])
