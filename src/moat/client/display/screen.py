"""The screen of a run: from its supervisor while that lives, from its journal afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from moat.client.connect.supervisor_client import SupervisorClient
from moat.errors import RunNotActiveError, UsageError
from moat.wire.messages import MAIN_SESSION

if TYPE_CHECKING:
    from moat.runs.store import Run, Store

    Format = Literal["text", "html", "contents", "json"]

# Enough for any line that somebody waits for, and little enough to search again and again.
TAIL_BYTES: Final = 256 * 1024


def read_screen(store: Store, run: Run, form: Format) -> Any:
    """Return the screen of a run as text, HTML, text with the scrollback ("contents"), or a `dict`.

    Raise `UsageError` for a run without a TTY.
    """
    if not run.tty:
        raise UsageError(
            f"run {run.name} has no screen: it was started without a TTY",
            f"See its output: moat logs {run.name}",
        )
    if not run.ended:
        client = SupervisorClient(store.home, store.folder(run.id))
        try:
            answer = client.text("/v1/screen", format=form)
            return json.loads(answer) if form == "json" else answer
        except RunNotActiveError:
            pass  # it has ended since; the journal has the rest
    return _rebuilt(store, run, form)


def _rebuilt(store: Store, run: Run, form: Format) -> Any:
    from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  loads the emulator

    spec = store.spec(run.id)
    journal = store.folder(run.id).journal / MAIN_SESSION
    screen = rebuild_screen(journal, spec.scrollback, spec.size, spec.scrollback_memory)
    try:
        forms = {
            "text": screen.text,
            "html": screen.html,
            "contents": screen.contents,
            "json": screen.as_json,
        }
        return forms[form]()
    finally:
        screen.close()


def read_text(store: Store, run: Run) -> str:
    """Return the screen with its scrollback; of a run without a TTY, the end of its output."""
    if run.tty:
        return read_screen(store, store.get(run.id), "contents")
    from moat.session.journal.index import Stream  # noqa: PLC0415
    from moat.session.journal.reader import JournalReader  # noqa: PLC0415

    reader = JournalReader(store.folder(run.id).journal / MAIN_SESSION)
    pieces = (
        b"".join(data for _, data in reader.chunks(stream, reader.end(stream) - TAIL_BYTES))
        for stream in Stream
    )
    return b"\n".join(pieces).decode(errors="replace")
