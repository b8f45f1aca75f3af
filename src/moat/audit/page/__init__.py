"""The page that verifies bundles in a browser: one file of HTML, which asks nobody for anything.

`verifier.mjs` is the verifier once more, in plain JavaScript, and `page.html` what is around it.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Final

MODULE: Final = "verifier.mjs"
_PAGE: Final = "page.html"


def page() -> str:
    """Return the page."""
    folder = resources.files(__name__)
    module = (folder / MODULE).read_text(encoding="utf-8")
    html = (folder / _PAGE).read_text(encoding="utf-8")
    before, _, rest = html.partition('<script type="module">')
    script, _, after = rest.partition("</script>")
    # One script has both: a page that is opened from a disk can import nothing.
    script = f"{module}\n{script}"
    start = before.replace(
        "SCRIPT-HASH", base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    )
    return f'{start}<script type="module">{script}</script>{after}'
