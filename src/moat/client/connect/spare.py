"""Having a supervisor forked from the store's spare, a process that has loaded everything already.

See `supervisor.spare`. Where there is none, or none that is as good as a new process, the caller starts
one. This module is imported before all others where a spare may be, and so imports little.
"""

from __future__ import annotations

import os

from moat.platform.standing import standing
from moat.wire import spare

TYPE_CHECKING = False  # importing `typing` takes time
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

# A spare answers within milliseconds, and on a busy machine sooner than a new process; one that is
# stopped must not keep the user for long.
_PATIENCE_S: Final = 2.0


def fork(
    executable: str,
    home: str,
    run_id: str,
    environment: Mapping[str, str],
    descriptors: Sequence[int],
) -> bool:
    """Have a supervisor forked, with these `spare.DESCRIPTORS`; return whether there was a spare for it.

    The supervisor is like one that `executable` would start from this process.
    """
    folder = f"{home}/{spare.FOLDER}"
    if not os.path.isdir(folder):  # noqa: PTH112  before `pathlib` is loaded
        return False
    try:
        identity = spare.identity(executable, standing())
        name = f"{spare.name_of(identity)}.sock"
        if not os.path.exists(f"{folder}/{name}"):  # noqa: PTH110  as above
            return False
        request = spare.Request(identity, home, run_id, environment)
        return _ask(folder, name, request.encode(), descriptors)
    except OSError:
        return False  # it is gone, or leaves, or doesn't answer: a new process takes its place


def _ask(folder: str, name: str, request: bytes, descriptors: Sequence[int]) -> bool:
    import socket  # noqa: PLC0415  slow, and only where there is a spare
    from pathlib import Path  # noqa: PLC0415

    from moat.platform import sockets  # noqa: PLC0415

    with sockets.connect(Path(folder), name, socket.SOCK_SEQPACKET, within=_PATIENCE_S) as sock:
        _, uid = sockets.peer(sock)
        if uid != os.geteuid():
            return False
        sock.settimeout(_PATIENCE_S)
        sock.send(request)
        if sock.recv(1) != spare.FORKED:
            return False
        socket.send_fds(sock, [spare.PASSED], list(descriptors))
        return True
