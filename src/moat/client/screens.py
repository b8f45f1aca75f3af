"""What a run shows: from its supervisor while it lives, from its journal afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moat.client.connect.request import Supervised
from moat.errors import RunNotActiveError, UsageError
from moat.wire.messages import MAIN_SESSION

if TYPE_CHECKING:
    from moat.runs.store import Run, Store

# Enough for any line that somebody waits for, and little enough to search again and again.
TAIL_BYTES: Final = 256 * 1024


def screen_of_run(store: Store, run: Run, kind: str) -> Any:
    """`kind`: "text", "html" or "contents" (with the scrollback), as `str`; "json" as a `dict`."""
    if not run.tty:
        raise UsageError(
            f"run {run.name} has no screen: it was started without a TTY",
            f"Read what it wrote: moat logs {run.name}",
        )
    if not run.ended:
        try:
            answer = Supervised(store.home, store.folder(run.id)).text("/v1/screen", format=kind)
            return json.loads(answer) if kind == "json" else answer
        except RunNotActiveError:
            pass  # it has ended since; the journal knows the rest
    from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  loads the emulator

    spec = store.spec(run.id)
    screen = rebuild_screen(store.folder(run.id).journal / MAIN_SESSION, spec.scrollback, spec.size)
    try:
        shown = {
            "text": screen.text,
            "html": screen.html,
            "contents": screen.contents,
            "json": screen.as_json,
        }
        return shown[kind]()
    finally:
        screen.close()


def text_of_run(store: Store, run: Run) -> str:
    """The screen with its scrollback; of a run without a TTY the end of its output."""
    if run.tty:
        return screen_of_run(store, store.get(run.id), "contents")
    from moat.session.journal.index import Stream  # noqa: PLC0415
    from moat.session.journal.journal import JournalReader  # noqa: PLC0415

    reader = JournalReader(store.folder(run.id).journal / MAIN_SESSION)
    pieces = (
        b"".join(data for _, data in reader.chunks(stream, reader.end(stream) - TAIL_BYTES))
        for stream in Stream
    )
    return b"\n".join(pieces).decode(errors="replace")
