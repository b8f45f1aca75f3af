"""A real ssh server for tests: OpenSSH's sshd, one for each connection, from `with` to the end of it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SSHD: Final = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
# Root's sshd wants a folder that only an init system makes.
_PRIVILEGED: Final = ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/run", "--dir", "/run/sshd")
_CONFIG: Final = """\
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
"""


class Watch(Protocol):
    def received(self, data: bytes) -> None: ...

    def ended(self) -> None: ...


def keygen(path: Path, *arguments: str) -> Path:
    """Make a key pair, `path` and `path`.pub."""
    command = ["ssh-keygen", "-q", "-N", "", "-C", path.name, "-f", str(path), *arguments]
    subprocess.run(command, check=True)
    return path


class SSHServer:
    """Takes the user who runs the tests, with the keys that are authorized."""

    def __init__(self, folder: Path, kind: str = "ed25519") -> None:
        folder.mkdir()
        self.folder = folder
        self.user = getpass.getuser()
        self.host_key = keygen(folder / "host", "-t", kind).with_suffix(".pub").read_text()
        (folder / "authorized_keys").touch()
        (folder / "config").write_text(_CONFIG.format(folder=folder))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve)
        self._children: list[subprocess.Popen[bytes]] = []

    def authorize(self, public_key: str) -> None:
        with (self.folder / "authorized_keys").open("a") as file:
            file.write(public_key)

    @property
    def log(self) -> str:
        """What the servers have written so far."""
        return (self.folder / "log").read_text()

    def known_hosts(self, host: str) -> str:
        """Return the line by which clients know this server, under the name `host`."""
        return f"[{host}]:{self.port} {self.host_key}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for child in self._children:
            child.kill()
            child.wait()

    def _serve(self) -> None:
        become = (*_PRIVILEGED, "--cap-add", "ALL") if os.geteuid() == 0 else ()
        command = [*become, SSHD, "-i", "-e", "-f", str(self.folder / "config")]
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # shut down
            with connection, (self.folder / "log").open("ab") as log:
                self._children.append(
                    subprocess.Popen(command, stdin=connection, stdout=connection, stderr=log)
                )


class Relay:
    """Passes connections on to a server, and shows what the server sends before the client gets it."""

    def __init__(self, port: int, watch: Callable[[], Watch]) -> None:
        """`watch` returns who watches a new connection."""
        self._server = port
        self._watch = watch
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with ExitStack() as over:
            while True:
                try:
                    client, _ = self._listener.accept()
                except OSError:
                    return  # shut down
                thread = Thread(target=self._pass_on, args=(client,))
                thread.start()
                over.callback(thread.join)

    def _pass_on(self, client: socket.socket) -> None:
        watch = self._watch()
        with client, socket.create_connection(("127.0.0.1", self._server)) as server:
            up = Thread(target=_copy, args=(client, server, lambda _: None))
            up.start()
            _copy(server, client, watch.received)
            up.join()
        watch.ended()


def _copy(source: socket.socket, target: socket.socket, seen: Callable[[bytes], None]) -> None:
    with suppress(OSError):  # one of the two has closed the connection
        while data := source.recv(65536):
            seen(data)
            target.sendall(data)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
