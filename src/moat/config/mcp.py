"""`mcp:`, the MCP servers that runs may call, with the tools that they may call there. Pure.

The user's own settings and a project's file have the same field. A server of the settings comes before
one of the project's at the same URL, so a project can't loosen what the user has written.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from moat.config.fields import Field
from moat.errors import UsageError
from moat.spec.hosts import canonical_host, endpoint
from moat.spec.mcp import McpServer
from moat.spec.network import HOST_NAME
from moat.spec.request_path import interpretations_of_rule
from moat.spec.tool_pattern import ToolPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*", re.ASCII)
_MOST: Final = 32
"""Servers, and patterns of one server."""


def _check(server: Mapping[str, Any]) -> None:
    for name in ("name", "url"):
        if name not in server:
            raise ValueError(f"{name} is missing")
    _server(server)


def _check_number(entries: Sequence[object]) -> None:
    if len(entries) > _MOST:
        raise ValueError(f"{len(entries)} are too many: {_MOST} at most")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of lower-case letters, digits and hyphens")


FIELD: Final = Field(
    "objects",
    "MCP servers: agents are told of them, their calls of tools are recorded, and denied by pattern.",
    check=_check_number,
    each=_check,
    fields={
        "name": Field("string", "The server's name, for the agent and the record.", _check_name),
        "url": Field("string", "Its URL (Streamable HTTP), such as https://mcp.example.com/mcp."),
        "grant": Field("string", "The credential for it, as in `grants`."),
        "allow": Field(
            "strings",
            "Tools that may be called, all without this: TOOL or TOOL ARGUMENT=VALUE, * is any text.",
            check=_check_number,
            each=ToolPattern.parse,
        ),
        "deny": Field(
            "strings",
            "Tools that may not be called, whatever `allow` says.",
            check=_check_number,
            each=partial(ToolPattern.parse, denies=True),
        ),
    },
)


def servers(section: Iterable[Mapping[str, Any]]) -> tuple[McpServer, ...]:
    """Return the servers of a checked file."""
    return tuple(map(_server, section))


def grants_of(*sections: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the grants that servers need, each once."""
    named = (each["grant"] for section in sections for each in section if "grant" in each)
    return tuple(dict.fromkeys(named))


def hosts_of_grants(section: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the grants that servers name, each with the host that it is for."""
    return [(each["grant"], _server(each).host) for each in section if "grant" in each]


def opening(section: Mapping[str, Any], found: Iterable[McpServer]) -> Mapping[str, Any]:
    """Return a section `network` that lets runs reach these servers, unless a rule of it denies them."""
    servers = list(found)
    here = {str(each.port): None for each in servers if each.host == HOST_NAME}
    rules = (rule for each in servers for rule in each.rules())
    return {
        **section,
        "rules": [*section.get("rules", ()), *rules],
        "host": [*section.get("host", ()), *here],
    }


def joined(users: Iterable[McpServer], projects: Iterable[McpServer]) -> tuple[McpServer, ...]:
    """Return the servers of the settings and of a project. Raises `UsageError` for two of one name."""
    found = (*users, *projects)
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two MCP servers are called {name}", "Give one another name")
    return found


def _server(entry: Mapping[str, Any]) -> McpServer:
    """Return a server. Raises `UsageError` or `ValueError`."""
    text: str = entry["url"]
    parts = urlsplit(text)
    path = parts.path or "/"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{text!r} is not an http or https URL", "https://mcp.example.com/mcp")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"the URL of {entry['name']} holds a password", "Use grant: in its place")
    if parts.query or parts.fragment or not _PATH.fullmatch(path):
        raise UsageError(f"{text!r} has more than a plain path", "Leave the rest away")
    if not interpretations_of_rule(path).unambiguous:
        raise ValueError(f"the path of {text!r} can be understood in more than one way")
    host = canonical_host(parts.hostname)
    if host == HOST_NAME and (parts.scheme != "http" or parts.port is None):
        raise UsageError(
            f"{text!r}: a server of this machine is reached by http, at a port of its own",
            f"Write http://{endpoint(HOST_NAME, 5055)}/mcp",
        )
    return McpServer(
        name=entry["name"],
        scheme="https" if parts.scheme == "https" else "http",
        host=host,
        port=parts.port or (443 if parts.scheme == "https" else 80),
        path=path,
        allow=tuple(entry.get("allow", ())),
        deny=tuple(entry.get("deny", ())),
    )
