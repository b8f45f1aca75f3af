"""MCP servers that a run may call, and which of their tools. Pure.

MCP is the Model Context Protocol (modelcontextprotocol.io): a server offers tools, and an agent calls
them by JSON-RPC in the bodies of HTTP requests to one URL.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server by its URL, and the patterns of tools (`spec.tool_pattern`) that decide about calls."""

    name: str
    scheme: Literal["http", "https"]
    host: str
    """The name or the address in canonical form."""
    port: int
    path: str
    """The path of the URL, which begins with a slash."""
    allow: tuple[str, ...] = ()
    """The tools that may be called; all of them if this is empty."""
    deny: tuple[str, ...] = ()
    """The tools that may not be called, whatever `allow` says."""

    @property
    def is_limited(self) -> bool:
        """Tell whether there is a tool that may not be called."""
        return bool(self.allow or self.deny)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def rules(self) -> Iterator[str]:
        """Yield the rules that open the URL, and close the rest of a server with tools to guard."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        for method in ("POST", "GET", "DELETE"):
            yield f"allow {method} {host}:{self.port}{self.path}"
        if self.is_limited:
            yield f"deny {host}:{self.port}"
