"""The table that checks an agent's file, and from which its JSON schema is made."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, get_args

from moat.agents.waiting import MOST_LINES
from moat.config.fields import Field
from moat.providers.fields import check_id, check_sandbox_path, check_sandbox_variable, needs
from moat.spec.agent import AgentFileKind, AgentWait
from moat.spec.rules import host_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE: Final = re.compile(r"\{[A-Z][A-Z0-9_]*(:-\d+)?\}|\{login\}")


def _check_host(host: str) -> None:
    host_rule(host)


def _check_variable(name: str, _: str) -> None:
    check_sandbox_variable(name, "")


def _check_file(file: dict[str, Any]) -> None:
    needs("path")(file)
    if file.get("kind") == "merged":
        content = _TEMPLATE.sub("x", file.get("content", ""))
        try:
            merged = json.loads(content)
        except ValueError as exc:
            raise ValueError(f"{file['path']}: its content is no JSON: {exc}") from None
        if not isinstance(merged, dict):
            raise ValueError(f"{file['path']}: its content is no JSON object")


def _check_sign(text: str) -> None:
    if not text.strip("* "):
        raise ValueError(f"{text!r} is a sign of anything")


def _check_lines(count: int) -> None:
    if not 1 <= count <= MOST_LINES:
        raise ValueError(f"{count} is not between 1 and {MOST_LINES}")


def _check_wait(rule: dict[str, Any]) -> None:
    needs("kind")(rule)
    if not {"screen", "title", "notification"} & rule.keys():
        raise ValueError(f"{rule['kind']}: no sign is given")


def _check_state(folders: list[str]) -> None:
    """Refuse folders of which one lies in another: each is mounted by itself."""
    for one in folders:
        for other in folders:
            if one != other and one.startswith(f"{other}/"):
                raise ValueError(f"{one!r} lies in {other!r}")


_LOGIN: Final[Mapping[str, Field]] = {
    "provider": Field("string", "Provider whose credential it uses.", check_id),
    "word": Field("string", "The agent's own word for this login: {login} in its files."),
}
_FILE: Final[Mapping[str, Field]] = {
    "path": Field(
        "string",
        "Path below the sandbox's home folder.",
        check_sandbox_path,
    ),
    "content": Field(
        "string", "Content, with {VARIABLE}, {VARIABLE:-20} (its end) and {login} in it."
    ),
    "kind": Field(
        "enum",
        "once: written where there is none; merged: JSON, set at each start in what is there; run: for"
        " one run, never kept.",
        choices=get_args(AgentFileKind),
    ),
}
_LINES: Final[Mapping[str, Field]] = {
    "options": Field("strings", "Words that are always there."),
    "yolo": Field("strings", "Words by which it doesn't ask before it acts."),
    "ask": Field("strings", "Words by which it does."),
    "print": Field("strings", "Words by which it answers one prompt and ends."),
    "begin": Field("strings", "Words for a new session; {session} is the name that it gets."),
    "resume_last": Field("strings", "Words that resume the newest session."),
    "resume": Field("strings", "Words that resume {session}."),
    "prompt": Field("strings", "Words of a {prompt} (default: itself)."),
    "print_prompt": Field("strings", "The same with `print`, where it differs."),
}
_WAITING: Final[Mapping[str, Field]] = {
    "kind": Field("enum", "What it waits for.", choices=get_args(AgentWait)),
    "screen": Field(
        "strings",
        "Texts that are all on the last lines of its screen; * is any text.",
        each=_check_sign,
    ),
    "without": Field("strings", "Texts of which none is there.", each=_check_sign),
    "lines": Field("integer", "Number of last lines that count (default: 20).", _check_lines),
    "title": Field("string", "Text in the terminal's title.", _check_sign),
    "notification": Field(
        "string", "Text in the newest notification, unless the user has typed since.", _check_sign
    ),
}

_SERVERS: Final[Mapping[str, Field]] = {
    "path": Field(
        "string", "Path of a JSON file below the sandbox's home folder.", check_sandbox_path
    ),
    "content": Field("string", "What is set in it for each server, with {server} and {url}."),
    "words": Field("strings", "Words of its command line for each server, in place of a file."),
}

FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("string", "Name of the agent, the same as the file's.", check_id),
    "title": Field("string", "Name for people."),
    "notes": Field("string", "What a user should know."),
    "tested": Field("string", "Version with which this file was tried."),
    "command": Field("command", "The command that starts it."),
    "install": Field("string", "The command that installs it."),
    "asks": Field("boolean", "Its command line can have it ask before it acts (default: true)."),
    "logins": Field("objects", "Ways to log in.", fields=_LOGIN, each=needs("provider")),
    "own_login": Field(
        "map",
        "Variables by which a user logs it in without Moat, and the word of that login.",
        each=_check_variable,
    ),
    "hosts": Field("strings", "Hosts that it needs besides.", each=_check_host),
    "state": Field(
        "strings", "Folders of its home that last.", _check_state, each=check_sandbox_path
    ),
    "credentials": Field("strings", "Files in these that don't.", each=check_sandbox_path),
    "guide": Field(
        "string", "Path at which it reads instructions for all projects.", check_sandbox_path
    ),
    "env": Field("map", "Variables of the sandbox.", each=check_sandbox_variable),
    "files": Field("objects", "Files of the sandbox.", fields=_FILE, each=_check_file),
    "mcp": Field("object", "How it is told of an MCP server.", fields=_SERVERS),
    "lines": Field("object", "Words of its command line.", fields=_LINES),
    "waiting": Field(
        "objects",
        "Signs that it waits for its user; the first that holds counts.",
        fields=_WAITING,
        each=_check_wait,
    ),
}
