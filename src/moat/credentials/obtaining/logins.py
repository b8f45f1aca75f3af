"""The login that the provider's own program has: printed by a command of it, or in its file."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat import typed_json
from moat.config.files import read_bounded
from moat.credentials.obtaining.obtained import Obtained
from moat.credentials.obtaining.pointers import expiry_of_jwt, texts_at, time_at
from moat.errors import UsageError
from moat.ground import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moat.providers.recipe import LoginCommand, LoginFile, Recipe

_MAX_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 30.0
_VARIABLES: Final = (
    *("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"),
    "DBUS_SESSION_BUS_ADDRESS",
)


def find(recipe: Recipe) -> Obtained | None:
    """Return the first login that is there."""
    for command in recipe.commands:
        found = _printed(command)
        if found is not None:
            return found
    for file in recipe.files:
        found = _read(file)
        if found is not None:
            return found
    return None


def has_file(recipe: Recipe) -> bool:
    """Tell whether there is a file that may hold a login. It isn't read."""
    return any(path.is_file() for each in recipe.files if (path := _expanded(each.path)))


def _printed(command: LoginCommand) -> Obtained | None:
    program = programs.search(command.program).path
    if program is None:
        return None
    kept = (*_VARIABLES, *command.variables)
    try:
        done = subprocess.run(
            [program, *command.arguments],
            env={"PATH": os.defpath}
            | {name: os.environ[name] for name in kept if name in os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    output = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0 or not output:  # nobody is logged in
        return None
    return _read_output(command, output)


def _read_output(command: LoginCommand, output: str) -> Obtained | None:
    shown = " ".join((command.program, *command.arguments))
    if not command.fields:
        return Obtained(fields={"token": output}, source="cli", origin=shown)
    try:
        document = typed_json.parse(output)
    except ValueError:
        return None
    fields = texts_at(document, command.fields)
    if not fields:
        return None
    return Obtained(
        fields=fields,
        source="cli",
        origin=shown,
        attributes=texts_at(document, command.attributes),
        expires_at=time_at(document, command.expires),
    )


def _read(file: LoginFile) -> Obtained | None:
    path = _expanded(file.path)
    if path is None or not path.is_file():
        return None
    content = read_bounded(path, _MAX_BYTES).decode(errors="replace")
    try:
        document = _PARSERS[file.format](content)
    except (ValueError, configparser.Error, RecursionError):
        # The cause would quote the file, and so its secrets.
        raise UsageError(f"{path} can't be read as {file.format}", "Log in there anew") from None
    fields = texts_at(document, file.fields)
    if not fields.keys() & {*file.fields} or not _is_complete(fields, file.fields):
        return None
    return Obtained(
        fields=fields,
        source="cli",
        origin=str(path),
        attributes=texts_at(document, file.attributes),
        expires_at=time_at(document, file.expires) or expiry_of_jwt(fields.get("token", "")),
    )


def _is_complete(fields: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether the first field is there: the others, such as a refresh token, may be missing."""
    return next(iter(wanted)) in fields


def _expanded(text: str) -> Path | None:
    """Return the path; `None` where a variable in it is not set. `${A:-B}` stands for B then."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = os.environ.get(match["name"]) or match["default"]
        missing = missing or found is None
        return found or ""

    path = re.sub(r"\$\{?(?P<name>[A-Z_][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}?", value, text)
    return None if missing else Path(path).expanduser()


def _yaml(content: str) -> Any:
    import yaml  # noqa: PLC0415  loads slowly

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError:
        raise ValueError("no YAML") from None


def _ini(content: str) -> Any:
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    parser.read_string(content)
    return {name: dict(section) for name, section in parser.items()}


def _properties(content: str) -> dict[str, str]:
    """Read lines `KEY=VALUE`, as npm writes them."""
    pairs = (line.partition("=") for line in content.splitlines())
    return {key.strip(): value.strip().strip("\"'") for key, equals, value in pairs if equals}


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "json": json.loads,
    "yaml": _yaml,
    "ini": _ini,
    "toml": tomllib.loads,
    "properties": _properties,
    "text": lambda content: {"text": content.strip()},
}
