"""The screen of a run: from its supervisor while that lives, from its journal afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

from moat.client.connect.supervisor_client import SupervisorClient
from moat.errors import RunNotActiveError, UsageError
from moat.paths import MAIN_SESSION
from moat.runs import session_records

if TYPE_CHECKING:
    from moat.runs.store import Run, Store

    Format = Literal["text", "html", "contents", "json"]

# Enough for any line that somebody waits for, and little enough to search again and again.
TAIL_BYTES: Final = 256 * 1024


def read_screen(store: Store, run: Run, form: Format, session: str = MAIN_SESSION) -> Any:
    """Return the screen of a session as text, HTML, text with the scrollback ("contents"), or a `dict`.

    Raise `UsageError` for one without a TTY.
    """
    known = session_records.find(store, run, session)
    if not known.tty:
        what = "run" if session == MAIN_SESSION else "session"
        raise UsageError(
            f"{what} {known.reference} has no screen: it was started without a TTY",
            f"See its output: moat logs {known.reference}",
        )
    if not known.ended:
        client = SupervisorClient(store.home, store.folder(run.id))
        try:
            answer = client.text("/v1/screen", format=form, session=session)
            return json.loads(answer) if form == "json" else answer
        except RunNotActiveError:
            pass  # it has ended since; the journal has the rest
    return _rebuilt(store, run, form, session)


def _rebuilt(store: Store, run: Run, form: Format, session: str) -> Any:
    from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  loads the emulator

    spec = store.spec(run.id)
    journal = store.folder(run.id).journal / session
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


def read_text(store: Store, run: Run, session: str = MAIN_SESSION) -> str:
    """Return the screen with its scrollback; of a session without a TTY, the end of its output."""
    run = store.get(run.id)
    if session_records.find(store, run, session).tty:
        return read_screen(store, run, "contents", session)
    from moat.session.journal.index import Stream  # noqa: PLC0415
    from moat.session.journal.reader import JournalReader  # noqa: PLC0415

    reader = JournalReader(store.folder(run.id).journal / session)
    pieces = (
        b"".join(data for _, data in reader.chunks(stream, reader.end(stream) - TAIL_BYTES))
        for stream in Stream
    )
    return b"\n".join(pieces).decode(errors="replace")
