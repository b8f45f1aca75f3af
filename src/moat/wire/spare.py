"""The request by which a client has its supervisor forked from a spare.

Over a socket of packets: the request, one byte back from the process that was forked for it, and then
three descriptors to it. So a client that has passed them on has a supervisor of its own, and one that
gets no byte has passed on nothing.

A spare is found by what it would have to be: of the same version, from the same files, in the same
standing. That is checked word for word in the request: the name of the socket is only a checksum.
"""

from __future__ import annotations

import os
import zlib

from moat.version import __version__

TYPE_CHECKING = False  # importing `typing` takes time, and a client sends this first of all
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

FOLDER: Final = "spares"
"""The folder in the store where spares have their sockets and locks."""
DESCRIPTORS: Final = ("log", "ready", "held")
"""Descriptors that are passed to the process that was forked; see `client.connect.spawn`."""
MAX_REQUEST: Final = 128 * 1024
FORKED: Final = b"y"
"""Says that a process has been forked, which waits for its descriptors."""
PASSED: Final = b"d"
"""The message that the descriptors come with."""
GO: Final = b"\n"
"""Says to a supervisor on standby that its run exists; see `client.connect.standby`."""
GO_AND_LEAVE_ONE: Final = b"s"
"""Says so, and that it is to leave a spare for the starts that follow."""


class Request:
    """A supervisor to be: whose, with which environment, and what the spare has to be for it."""

    def __init__(
        self, identity: str, home: str, run_id: str, environment: Mapping[str, str]
    ) -> None:
        self.identity = identity
        self.home = home
        self.run_id = run_id
        self.environment = environment

    def encode(self) -> bytes:
        variables = (f"{name}={value}" for name, value in self.environment.items())
        return os.fsencode("\0".join((self.identity, self.home, self.run_id, *variables)))

    @classmethod
    def decode(cls, message: bytes) -> Request:
        """Raise `ValueError` for a message that isn't a request."""
        identity, home, run_id, *variables = os.fsdecode(message).split("\0")
        environment = dict(each.split("=", 1) for each in variables)
        return cls(identity, home, run_id, environment)


def identity(executable: str, standing: str) -> str:
    """Return what makes two processes equal before they supervise anything.

    `executable` is the interpreter, and the files of Moat are those that this process has loaded.
    """
    package = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120  before `pathlib` is loaded
    return f"{__version__}\n{executable}\n{package}\n{standing}"


def name_of(identity: str) -> str:
    """Return the name of a spare's files, without a suffix."""
    return f"{zlib.crc32(os.fsencode(identity)):08x}"
