"""Telling the followers of an SQLite database that there is a new commit.

In WAL mode a writer first appends to the log, and then makes the commit visible in the index of the
log, which is shared memory (https://sqlite.org/walformat.html). inotify reports the first and never
the second: a follower that wakes at once reads the database as it was before, and is not woken again.
So writers touch the database file after COMMIT has returned, and followers, who watch its folder,
look once more then.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def announce(database: Path) -> None:
    """Wake the followers of `database`. Call this once a commit is visible to other connections.

    Raises `OSError`. By name, since a descriptor of our own would drop SQLite's locks on the file
    when it is closed (POSIX advisory locks, https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    with suppress(FileNotFoundError):  # a database that was moved away has no followers
        os.utime(database)
