"""`moat attach [RUN]`."""

from __future__ import annotations

import os

from moat.cli.found import find_session
from moat.client.attach.attach import AttachOptions, attach, reset_screen
from moat.client.attach.handover import received
from moat.config import settings as user_settings
from moat.errors import UsageError
from moat.keyboard.key_names import parse_escape_prefix
from moat.paths import MAIN_SESSION
from moat.runs.store import Store


def carry_out(
    *,
    run: str | None = None,
    session: str | None = None,
    read_only: bool = False,
    interactive: bool | None = None,
    escape_keys: str | None = None,
) -> int:
    handover = received()
    if handover is not None:
        run = handover.run
        if handover.was_painted:
            reset_screen()
    with Store() as store:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        found, name = find_session(store, run, session)
        if os.environ.get("MOAT_RUN") == found.id:
            raise UsageError("this command runs inside that run", "Attach to it from outside")
        tty = None
        if name != MAIN_SESSION:
            from moat.runs import session_records  # noqa: PLC0415  for few attaches

            known = session_records.find(store, found, name)
            tty = known.tty
            interactive = known.interactive if interactive is None else interactive
        options = AttachOptions(
            session=name,
            tty=tty,
            escape_prefix=prefix,
            read_only=read_only,
            interactive=interactive,
            interrupt_window=settings.interrupt_window,
            prefix_timeout=settings.prefix_timeout,
            status_row=settings.status_row,
            handover=handover,
        )
        return attach(store, found, options)
