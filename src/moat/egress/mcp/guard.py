"""The guard of a run's MCP servers: no call reaches one that its patterns don't allow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.egress.http.messages import NO_BODY
from moat.egress.mcp.messages import UnclearMessageError, call_in, refusal
from moat.egress.policy.decision import Decision, Verdict
from moat.spec.path_skeleton import skeletons
from moat.spec.request_path import interpretations
from moat.spec.rules import Rule
from moat.spec.tool_pattern import ToolPattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moat.egress.http.interfaces import PendingExchange
    from moat.spec.mcp import McpServer

_BODILESS: Final = frozenset(("GET", "DELETE"))
"""Methods by which a client listens, and ends its session."""


class GuardedServer:
    """One server, with its patterns at hand."""

    def __init__(self, server: McpServer) -> None:
        self.name = server.name
        self._is_limited = server.is_limited
        self._allow = [ToolPattern.parse(each) for each in server.allow]
        self._deny = [ToolPattern.parse(each, denies=True) for each in server.deny]
        host = f"[{server.host}]" if ":" in server.host else server.host
        # As a denial would be: in each spelling in which the server may know its path.
        self._place = Rule.parse(f"deny {host}:{server.port}{server.path}")

    def is_at(self, host: str, port: int, target: str) -> bool:
        """Tell whether the server may understand a target as the URL of its messages."""
        if not self._place.matches_host(host, port):
            return False
        if any(map(self._place.matches_path, interpretations(target).paths)):
            return True
        found, clear = skeletons(target)
        return not clear or any(map(self._place.matches_skeleton, found))

    def pass_on(self, exchange: PendingExchange, proceed: Callable[[], None]) -> None:
        """Call `proceed`, at once or later, or deny the request. Notes the tool in its entry."""
        exchange.entry.rule = self._rule()
        why = self._problem_of_head(exchange)
        if why:
            exchange.deny(self._unclear(why))
        elif exchange.request.framing == NO_BODY:
            proceed()
        elif exchange.body.wait(lambda: self._decide(exchange, proceed)):
            self._decide(exchange, proceed)
        else:
            exchange.downstream.resume()

    def _problem_of_head(self, exchange: PendingExchange) -> str:
        """Return why a head may mean something else to the server; empty where it can't."""
        request = exchange.request
        if not self._is_limited:
            return ""
        if request.overriding or request.rerouted:
            return "it asks the server for another method or path"
        if request.upgrade is not None:
            return "it would change the protocol"
        if request.method in _BODILESS:
            return "" if request.framing == NO_BODY else f"{request.method} has no body"
        return "" if request.method == "POST" else f"{request.method} is none of the protocol's"

    def _decide(self, exchange: PendingExchange, proceed: Callable[[], None]) -> None:
        try:
            call = call_in(exchange.request.fields, exchange.body.content)
        except UnclearMessageError as exc:
            if self._is_limited:
                exchange.deny(self._unclear(str(exc)))
            else:
                proceed()
            return
        if call is None:
            proceed()
            return
        rule = exchange.entry.rule = self._rule(call.tool)
        why = self._objection(call.tool, call.arguments)
        if why:
            text = f"moat: the tool {call.tool} of {self.name} is denied: {why}. Ask the user"
            answer = refusal(call, text)
            exchange.deny(Decision(Verdict.DENY, rule, text, 200, answer), 200)
        else:
            proceed()

    def _objection(self, tool: str, arguments: dict[str, object]) -> str:
        """Return what a call is denied by; empty where it is allowed."""
        denied = next((each for each in self._deny if each.matches(tool, arguments)), None)
        if denied is not None:
            return "mcp.deny matches it"
        if self._allow and not any(each.matches(tool, arguments) for each in self._allow):
            return "no pattern of mcp.allow matches it"
        return ""

    def _unclear(self, why: str) -> Decision:
        text = f"moat: a message to the MCP server {self.name} is denied: {why}"
        return Decision(Verdict.DENY, self._rule(), text)

    def _rule(self, tool: str = "") -> str:
        return f"mcp {self.name}: {tool}" if tool else f"mcp {self.name}"


class McpGuard:
    """The servers of a run."""

    def __init__(self, servers: Iterable[McpServer]) -> None:
        self._servers = [GuardedServer(each) for each in servers]

    def server_of(self, exchange: PendingExchange) -> GuardedServer | None:
        """Return the server whose messages a request brings; of several, the first in the list."""
        _, host, port = exchange.destination.key
        for each in self._servers:
            if each.is_at(host, port, exchange.target):
                return each
        return None
