"""Secrets of other stores, looked up before a run starts, by the stores' own programs and libraries."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moat.config import secret_references
from moat.errors import MoatError
from moat.ground import programs
from moat.ground.areas import is_in
from moat.ground.way import steps
from moat.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moat.config.secret_references import Reference

_LONGEST: Final = 128 * 1024 - 256
"""Bytes of a value: a variable with its name has 128 KiB (MAX_ARG_STRLEN, execve(2))."""
_PATIENCE_S: Final = 60.0
_SHOWN: Final = 200
"""Characters of what a program has said that an error shows."""
# What the stores' programs need to know of the user. Nothing in it chooses a program's code.
_PASSED: Final = frozenset(
    (
        *(
            "HOME",
            "USER",
            "LOGNAME",
            "LANG",
            "LC_ALL",
            "TZ",
            "DBUS_SESSION_BUS_ADDRESS",
            "GNUPGHOME",
        ),
        *("SSH_AUTH_SOCK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "DISPLAY", "WAYLAND_DISPLAY"),
        *("http_proxy", "https_proxy", "no_proxy", "GPG_TTY"),
    )
)
_CHOSEN: Final = ("aws", "op", "vault")
"""Programs whose paths the settings may name."""
_PASSED_PREFIXES: Final = ("OP_", "AWS_", "VAULT_", "XDG_", "PASSWORD_STORE_")


class SecretError(MoatError):
    """A secret of the run can't be looked up."""

    code = "secret"


@dataclass(frozen=True, slots=True)
class Sources:
    """The places where the user's secrets are looked up."""

    environment: Mapping[str, str]
    programs: Mapping[str, str]
    """The paths of programs that the user has chosen, by name."""
    writable: tuple[str, ...]
    """Folders that the run may write, without symbolic links: what is there may be forged."""

    def look_up(self, references: Mapping[str, str]) -> dict[str, str]:
        """Return the secrets by the names of their variables. Raises `SecretError` for the first."""
        return {name: self._one(name, text) for name, text in references.items()}

    def _one(self, name: str, text: str) -> str:
        try:
            value = self._read(secret_references.parse(text))
            if "\0" in value or len(value.encode()) > _LONGEST:
                raise ValueError("what is there is too long, or no text")
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
            raise SecretError(
                f"secret {name} can't be looked up: {printable(text)}: {why}",
                "Nothing was started. Mend it, or take it out of `secrets:`",
            ) from None
        return value

    def _read(self, reference: Reference) -> str:
        """Return what is there. Raises `OSError` and `ValueError`."""
        first, *more = reference.words
        match reference.scheme:
            case "env":
                value = self._variable(first)
            case "file":
                value = self._file(first)
            case "keyring":
                value = _from_keyring(first, more[0])
            case "op":
                value = self._output(("op", "read", "--no-newline", first))
            case "ssm":
                value = self._output(_get_parameter(first, more[0]))
            case "vault":
                value = self._output(("vault", "kv", "get", f"-field={more[0]}", first))
            case _:
                value = self._output(reference.words)
        return value

    # --- the stores ---

    def _variable(self, name: str) -> str:
        if name not in self.environment:
            raise ValueError(f"there is no variable {name}")
        return self.environment[name]

    def _file(self, text: str) -> str:
        path = Path(os.path.expanduser(text))  # noqa: PTH111  keeps `~` where there is no home
        self._refuse_forged(str(path))
        # A link there could lead elsewhere by the time it is read.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            return _text(file.read(_LONGEST + 2))

    # --- their programs ---

    def _output(self, command: Sequence[str]) -> str:
        """Return what a program prints."""
        program = self._program(command[0])
        try:
            done = subprocess.run(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE_S,
                cwd="/",  # no program is to take anything from the folder of a project
                env=dict(self._environment()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"{command[0]} took longer than {_PATIENCE_S:g} s") from None
        if done.returncode != 0:
            said = printable(done.stderr.decode(errors="replace").strip())[-_SHOWN:]
            why = f": {said}" if said else ""
            raise ValueError(f"{command[0]} failed with exit code {done.returncode}{why}")
        return _text(done.stdout)

    def _program(self, name: str) -> str:
        chosen = name if name.startswith("/") else self.programs.get(name, "")
        if chosen:
            self._refuse_forged(chosen)
        found = programs.search(name, chosen)
        if found.path is None:
            passed_over = "; ".join(found.passed_over)
            chosen = f"programs.{name} in config.yaml" if name in _CHOSEN else "cmd:///PATH"
            nowhere = f"it is in no folder of the system; name its path with {chosen}"
            raise ValueError(f"{name} can't be used: {passed_over or nowhere}")
        return found.path

    def _environment(self) -> Iterator[tuple[str, str]]:
        yield "PATH", os.pathsep.join(programs.PLACES)
        for name, value in self.environment.items():
            if name in _PASSED or name.startswith(_PASSED_PREFIXES):
                yield name, value

    def _refuse_forged(self, path: str) -> None:
        """Raise `ValueError` for a path that a run could have made lead anywhere."""
        for step in steps(path):
            for folder in self.writable:
                if is_in(step.path, folder):
                    raise ValueError(f"{step.path} is where the run may write")


def _get_parameter(region: str, name: str) -> tuple[str, ...]:
    """Return the command for a parameter; the name of one in a hierarchy begins with a slash."""
    command = ("aws", "ssm", "get-parameter", "--with-decryption", f"--name={name}")
    query = ("--query", "Parameter.Value", "--output", "text")
    return (*command, *query, *(("--region", region) if region else ()))


def _from_keyring(service: str, user: str) -> str:
    import keyring  # noqa: PLC0415  for this store alone
    import keyring.errors  # noqa: PLC0415

    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as exc:
        raise ValueError(f"the keyring can't be used: {exc}") from None
    if value is None:
        raise ValueError(f"the keyring has nothing for {user} of {service}")
    return value


def _text(data: bytes) -> str:
    """Return what was read as text, without the newline at its end. Raises `ValueError`."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("what is there is no text") from None
    if not text.removesuffix("\n"):
        raise ValueError("there is nothing")
    return text.removesuffix("\n").removesuffix("\r")
