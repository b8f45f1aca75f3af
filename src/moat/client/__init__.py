"""The user's side of a run: reach its supervisor, show the run on a terminal, wait for it, remove it.

Rooms, the lower ones first; none imports one that comes after it:

- `connect` finds or starts the supervisor of a run, and talks to it.
- `display` has what a run shows, and writes it to standard output.
- `attach` connects a session to this terminal: the one path of `run`, `attach` and `exec`.
- `watch` waits until something has changed. `removal` removes a run for good.

A client is short-lived and holds nothing that matters: killing it does nothing to a run. It must start
at once, so there is no asyncio here, and what only some commands need is imported where it is used.
"""
