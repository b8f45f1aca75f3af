"""Command lines that are read without click, with the meaning that click gives them. Pure.

What isn't plain is left to click as a whole, so nothing of its texts and refusals is written twice. That
is `-n10`, `--lines=10`, `--`, an empty word, an unknown option, and a value that begins with a dash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat.agents import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class _NotPlainError(ValueError):
    """The command line is left to click."""


def _number(text: str) -> int:
    # Digits alone, and few: `int` takes much more than click's users write.
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _NotPlainError
    return int(text)


class _Form(NamedTuple):
    """The plain form of a command."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """The names of the arguments after those that are required."""
    flags: Mapping[str, str] = {}
    values: Mapping[str, tuple[str, Callable[[str], object]]] = {}
    """Options with a value, of which the last one counts."""
    lists: Mapping[str, str] = {}
    """Options with a value each time that they are given."""
    has_command: bool = False
    """Everything after `--` is another program's command line."""


_RUN: Final = _Form(
    optional=("path",),
    flags={
        "-i": "interactive",
        "--interactive": "interactive",
        "-t": "tty",
        "--tty": "tty",
        "-d": "detach",
        "--detach": "detach",
        "--copy": "copy",
        "--keep": "keep",
        "--trust-project": "trust_project",
        "--writable-git": "writable_git",
    },
    values={
        "-n": ("name", str),
        "--name": ("name", str),
        "-w": ("workdir", str),
        "--workdir": ("workdir", str),
        "--worktree": ("worktree", str),
    },
    lists={
        "-e": "env",
        "--env": "env",
        "-m": "mounts",
        "--mount": "mounts",
        "--volume": "volumes",
        "--grant": "grants",
        "--allow": "allow",
        "--deny": "deny",
        "--limit": "limits",
        "--host-port": "host_ports",
        "-p": "publish",
        "--publish": "publish",
    },
    has_command=True,
)
_AGENT: Final = _Form(
    optional=("prompt",),
    flags={
        **{word: name for word, name in _RUN.flags.items() if name not in {"interactive", "tty"}},
        "-p": "print_mode",
        "--print": "print_mode",
        "-c": "goes_on",
        "--continue": "goes_on",
        "--ask": "asks",
        "--fresh": "fresh",
    },
    values={
        **_RUN.values,
        "-r": ("resume", str),
        "--resume": ("resume", str),
        "-C": ("path", str),
        "--project": ("path", str),
    },
    lists={word: name for word, name in _RUN.lists.items() if word != "-p"},
    has_command=True,
)
_FORMS: Final = {
    "attach": _Form(optional=("run",), flags={"--read-only": "read_only"}),
    "grant list": _Form(flags={"--json": "as_json"}),
    "list": _Form(
        flags={
            "-a": "everything",
            "--all": "everything",
            "--json": "as_json",
            "--watch": "watch",
        }
    ),
    "logs": _Form(
        optional=("run",),
        flags={"-f": "follows", "--follow": "follows", "--timestamps": "timestamps"},
        values={"-n": ("count", _number), "--lines": ("count", _number)},
    ),
    "run": _RUN,
    "send": _Form(
        required=("run",),
        optional=("text",),
        flags={"--stdin": "from_stdin"},
        lists={"-k": "keys", "--key": "keys"},
    ),
    "status": _Form(flags={"--json": "as_json", "--full": "everything"}),
    "version": _Form(),
}
ALIASES: Final = {"ls": "list", "ps": "list"}


class Plain(NamedTuple):
    """A command, and what its command line says. What isn't said isn't there."""

    name: str
    """The command's words, with `_` between them."""
    given: dict[str, Any]


def parse(arguments: Sequence[str]) -> Plain | None:
    """Return what `moat ARGUMENTS` means; `None` where click has to say."""
    if not arguments:
        return None
    count = 2 if " ".join(arguments[:2]) in _FORMS else 1
    name = " ".join(arguments[:count])
    name = ALIASES.get(name, name)
    form = _AGENT if name in SHIPPED else _FORMS.get(name)
    if form is None:
        return None
    words, command = list(arguments[count:]), ()
    if form.has_command and "--" in words:
        cut = words.index("--")
        words, command = words[:cut], tuple(words[cut + 1 :])
    try:
        given = _given(form, _single(form, words))
    except _NotPlainError:
        return None
    if form.has_command:
        given["command"] = command
    if name in SHIPPED:
        return Plain("agent", {**given, "agent": name})
    return Plain(name.replace(" ", "_"), given)


def _single(form: _Form, words: Sequence[str]) -> Iterator[str]:
    """Yield the words, with flags that were written as one (`-it`) each by itself."""
    for word in words:
        letters = [f"-{each}" for each in word[1:]] if word[:1] == "-" else []
        if letters and all(each in form.flags for each in letters):
            yield from letters
        else:
            yield word


def _given(form: _Form, words: Iterator[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    arguments = iter((*form.required, *form.optional))
    for word in words:
        if word in form.flags:
            given[form.flags[word]] = True
        elif word in form.values:
            name, convert = form.values[word]
            given[name] = convert(_operand(words))
        elif word in form.lists:
            name = form.lists[word]
            given[name] = (*given.get(name, ()), _operand(words))
        else:
            name = next(arguments, None)
            if name is None:
                raise _NotPlainError
            given[name] = _plain(word)
    if any(name not in given for name in form.required):
        raise _NotPlainError
    return given


def _operand(words: Iterator[str]) -> str:
    return _plain(next(words, ""))


def _plain(word: str) -> str:
    if not word or word.startswith("-"):
        raise _NotPlainError
    return word
