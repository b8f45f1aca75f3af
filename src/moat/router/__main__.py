"""`python -I -m moat.router HOME COUNT`, started by `client.router`.

Descriptor 3 holds the router's lock, 4 is its control socket, and COUNT listening sockets follow.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from moat.router.main import main

_CONTROL = 4

first, end = _CONTROL + 1, _CONTROL + 1 + int(sys.argv[2])
os.closerange(end, os.sysconf("SC_OPEN_MAX"))
for descriptor in range(_CONTROL - 1, end):
    os.set_inheritable(descriptor, False)
main(
    Path(sys.argv[1]),
    socket.socket(fileno=_CONTROL),
    [socket.socket(fileno=descriptor) for descriptor in range(first, end)],
)
