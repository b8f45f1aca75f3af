"""`python -I -m moat.supervisor HOME RUN`, started by `client.connect.spawn`."""

from __future__ import annotations

import sys
from pathlib import Path

from moat.supervisor.start import main

main(Path(sys.argv[1]), sys.argv[2])
