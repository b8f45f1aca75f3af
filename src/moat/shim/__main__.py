"""Started as `python -I -S .../moat/shim/__main__.py LISTENER EXITS [INIT ALIVE]`.

`-I` and `-S` keep the environment, the working directory and site-packages out of the import path, so
the one folder that is needed is added here.
"""

import os
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])

from moat.shim.main import main

# Keep nothing but the listener and what is numbered below it: any other inherited descriptor would
# reach the sandbox.
os.closerange(int(sys.argv[1]) + 1, os.sysconf("SC_OPEN_MAX"))
main(int(sys.argv[1]), sys.argv[2], tuple(map(int, sys.argv[3:5])))
