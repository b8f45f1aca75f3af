"""Changes as text: a patch as `git diff` writes it. Pure.

A line that isn't part of a patch begins with `# `: `git apply` and patch(1) skip it.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from moat.workspace.line_diff import unified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.workspace.changes import Change, Side

# Git's own rule: a file with a zero byte in its first 8,000 bytes is binary.
_LOOKED_AT: Final = 8_000
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def quoted(name: str) -> str:
    """Return a name as git writes it: in quotes, with escapes, if a character in it isn't printable."""
    if name.isprintable() and '"' not in name and "\\" not in name:
        return name
    return '"' + "".join(map(_escaped, name)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="surrogateescape"))


def patch(change: Change, before: bytes | None, after: bytes | None) -> Iterator[bytes]:
    """Yield the lines of a change's patch; a content is `None` where it isn't kept or isn't a file's."""
    if change.late:
        yield _note(change.path, "changed before it was recorded; what was there may be older")
    was, now = change.before, change.after
    if was is not None and now is not None and stat.S_IFMT(was.mode) != stat.S_IFMT(now.mode):
        yield from _one(change.path, was, None, before, None)
        yield from _one(change.path, None, now, None, after)
    else:
        yield from _one(change.path, was, now, before, after)


def _one(
    path: str, was: Side | None, now: Side | None, before: bytes | None, after: bytes | None
) -> Iterator[bytes]:
    if not all(_is_known_to_git(side) for side in (was, now) if side is not None):
        yield _note(path, _in_words(was, now))
        return
    yield from _permission_notes(path, was, now)
    old_text, new_text = _text(was, before), _text(now, after)
    if was is not None and now is not None and was.digest is not None and was.digest == now.digest:
        old_text = new_text = b""  # only the mode differs, if anything; the content may not be kept
    if old_text is None or new_text is None:
        yield _note(path, _not_kept(was, now, old_text, new_text))
        return
    yield from map(_encoded, _headers(path, was, now))
    if old_text != new_text:
        yield from _difference(path, was, now, old_text, new_text)


def _headers(path: str, was: Side | None, now: Side | None) -> Iterator[str]:
    first = f"diff --git {quoted(f'a/{path}')} {quoted(f'b/{path}')}\n"
    if was is None and now is not None:
        yield f"{first}new file mode {_git_mode(now.mode)}\n"
    elif was is not None and now is None:
        yield f"{first}deleted file mode {_git_mode(was.mode)}\n"
    elif was is not None and now is not None:
        if _git_mode(was.mode) != _git_mode(now.mode):
            yield f"{first}old mode {_git_mode(was.mode)}\nnew mode {_git_mode(now.mode)}\n"
        elif was.digest != now.digest or was.target != now.target:
            yield first


def _difference(
    path: str, was: Side | None, now: Side | None, before: bytes, after: bytes
) -> Iterator[bytes]:
    old = "/dev/null" if was is None else quoted(f"a/{path}")
    new = "/dev/null" if now is None else quoted(f"b/{path}")
    if b"\0" in before[:_LOOKED_AT] or b"\0" in after[:_LOOKED_AT]:
        yield _encoded(f"Binary files {old} and {new} differ\n")
        return
    # A tab tells patch(1) where a name with spaces ends.
    end = "\t\n" if " " in path else "\n"
    yield _encoded(f"--- {old}{end}")
    yield _encoded(f"+++ {new}{end}")
    yield from unified(before, after)


def _permission_notes(path: str, was: Side | None, now: Side | None) -> Iterator[bytes]:
    """Yield what git's modes don't tell: only whether a file may be executed is in them."""
    if now is None or stat.S_ISLNK(now.mode):
        return
    if was is None:
        if now.mode & 0o7000:
            yield _note(path, f"permissions {_permissions(now.mode)}")
    elif was.mode != now.mode:
        yield _note(path, f"permissions {_permissions(was.mode)} -> {_permissions(now.mode)}")


def _text(side: Side | None, content: bytes | None) -> bytes | None:
    """Return what git compares: nothing where there is no file, and the target of a link."""
    if side is None:
        return b""
    if side.target is not None:
        return side.target.encode(errors="surrogateescape")
    return content


def _not_kept(was: Side | None, now: Side | None, before: bytes | None, after: bytes | None) -> str:
    what = "new" if was is None else "deleted" if now is None else "changed"
    missing = [
        f"{when} {side.size} bytes"
        for when, side, content in (("before", was, before), ("after", now, after))
        if side is not None and content is None
    ]
    return f"{what}; the content was not kept: {', '.join(missing)}"


def _permissions(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"


def _git_mode(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "120000"
    return "100755" if mode & 0o100 else "100644"


def _is_known_to_git(side: Side) -> bool:
    return stat.S_ISREG(side.mode) or stat.S_ISLNK(side.mode)


_KINDS: Final = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISREG, "file"),
    (stat.S_ISLNK, "symbolic link"),
)


def kind_of(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "device")


def _in_words(was: Side | None, now: Side | None) -> str:
    if was is None and now is not None:
        return f"new {kind_of(now.mode)} ({_permissions(now.mode)})"
    if was is not None and now is None:
        return f"deleted {kind_of(was.mode)}"
    if was is None or now is None or was.mode == now.mode:
        return "changed"
    return f"{kind_of(now.mode)}, permissions {_permissions(was.mode)} -> {_permissions(now.mode)}"


def _note(path: str, text: str) -> bytes:
    return _encoded(f"# {quoted(path)}: {text}\n")


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
