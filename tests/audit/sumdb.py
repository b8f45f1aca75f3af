"""Test vectors that golang.org/x/mod/sumdb has made; see vectors/go/main.go."""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "vectors"
SUMDB: Final[dict[str, Any]] = json.loads((FOLDER / "sumdb.json").read_text())
