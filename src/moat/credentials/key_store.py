"""The places where a vault's keys may lie: the keyring of the user's desktop, or a file.

The keyring's own search for a backend is not used: it would load code that `PYTHON_KEYRING_BACKEND` or a
file of settings names, and it takes backends that encrypt nothing.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from moat.atomic import replace_file
from moat.credentials.credential import VaultError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from keyring.backend import KeyringBackend

    from moat.credentials.state import KeyPlace


_SERVICE: Final = "moat"
_MAX_BYTES: Final = 1 << 16
_NEW: Final = "A new vault can have its key in a file: moat vault rekey --key file"
_LOCKED: Final = frozenset(("KeyringLocked", "LockedException", "PromptDismissedException"))


class KeyStore(Protocol):
    """One of the places. Its methods raise `VaultError` where the place can't be used now."""

    place: KeyPlace

    def load(self) -> str | None:
        """Return what was saved; `None` if the place is in order and holds nothing."""
        ...

    def save(self, text: str) -> None: ...

    def delete(self) -> None: ...


class KeyFile:
    """A file with mode 0600. Whoever can read the user's files can read it."""

    place: KeyPlace = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> str | None:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._unusable("read", exc) from exc
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise VaultError(
                    f"the vault's key {self.path} can be read by others",
                    f"If nobody has read it: chmod 600 {self.path}; else: moat vault rekey, too",
                )
            return file.read(_MAX_BYTES).decode("ascii", "replace")

    def save(self, text: str) -> None:
        try:
            replace_file(self.path, text.encode(), durable=True)
        except OSError as exc:
            raise self._unusable("saved", exc) from exc

    def delete(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as exc:
            raise self._unusable("removed", exc) from exc

    def _unusable(self, done: str, exc: OSError) -> VaultError:
        return VaultError(f"the vault's key can't be {done}: {exc.strerror}", str(self.path))


class OsKeyring:
    """The keyring of the desktop: the Secret Service of GNOME, KDE or KeePassXC, or the Keychain."""

    place: KeyPlace = "keyring"

    def __init__(self, vault_id: str) -> None:
        self._vault_id = vault_id

    def load(self) -> str | None:
        backend = _backend()
        with _keyring_errors():
            return backend.get_password(_SERVICE, self._vault_id)

    def save(self, text: str) -> None:
        backend = _backend()
        with _keyring_errors():
            backend.set_password(_SERVICE, self._vault_id, text)  # pyright: ignore[reportUnknownMemberType]  it is wrapped

    def delete(self) -> None:
        from keyring.errors import PasswordDeleteError  # noqa: PLC0415  loads slowly

        backend = _backend()
        with _keyring_errors():
            try:
                backend.delete_password(_SERVICE, self._vault_id)
            except PasswordDeleteError:  # it isn't there
                return


class KeyringAbsentError(VaultError):
    """There is no keyring on this machine, or none for this login."""


def _backend() -> KeyringBackend:
    _find_session_bus()
    if sys.platform == "darwin":
        from keyring.backends.macOS import Keyring  # noqa: PLC0415  loads slowly
    else:
        from keyring.backends.SecretService import Keyring  # noqa: PLC0415
    try:
        _ = Keyring.priority
    except (RuntimeError, KeyError, OSError) as exc:
        # `KeyError`: no session bus is known.
        reason = str(exc) if isinstance(exc, RuntimeError) else "there is no session bus"
        raise KeyringAbsentError(
            f"there is no keyring here: {reason}",
            "Start the desktop's keyring, or keep the key in a file: moat vault rekey --key file",
        ) from exc
    return Keyring()


def _find_session_bus() -> None:
    """Name the bus of the user's session where the environment doesn't, as in a job of cron."""
    if sys.platform == "linux" and "DBUS_SESSION_BUS_ADDRESS" not in os.environ:
        usual = f"/run/user/{os.getuid()}/bus"
        if os.path.exists(usual):  # noqa: PTH110  no path is needed but for this
            os.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={usual}"


@contextmanager
def _keyring_errors() -> Generator[None]:
    try:
        yield
    except Exception as exc:  # each backend has errors of its own, and D-Bus has more
        # By name: they are `keyring`'s and `secretstorage`'s, and one of the two may not be there.
        if type(exc).__name__ in _LOCKED:
            raise VaultError("the keyring is locked", f"Unlock it, and try again. {_NEW}") from exc
        raise VaultError(
            f"the keyring can't be used: {exc or type(exc).__name__}",
            f"Look at it with the desktop's own program. {_NEW}",
        ) from exc
