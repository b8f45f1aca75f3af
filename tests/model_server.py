"""A stand-in for the servers of models, for whole turns of real agents without a model.

It speaks as much of Anthropic's Messages, OpenAI's Responses and Gemini's generateContent, streamed, as
Claude Code, Codex and Gemini CLI need for a turn: a prompt, a call of the shell, an answer.
`RUN:command` in a prompt has the agent run the command, and the answer quotes what that printed.
`TOOL:name {...}` has the agent call the tool whose name ends so, with these arguments.
`WRITE` has Aider, which calls no tools, write a file. `STREAM` streams words, and waits in the middle.
`ASK` has an agent that can do so ask its user a question. `REFUSED` is answered with an error that no
agent tries to get over, until a prompt has `RECOVER`.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

Json = dict[str, Any]

WORDS: Final = 60
PATIENCE_S: Final = 600.0
_JUDGEMENT: Final = '{"complexity_reasoning": "none", "complexity_score": 10}'
_GEMINI_SHELL: Final = "run_shell_command"
ACCOUNT: Final = "acc-1"
# What Gemini CLI and Codex ask before the first prompt: whose the login is, and what it may use.
_ACCOUNT: Final = {
    "email": "agent@example.com",
    "expires_in": 3600,
    "scope": "email",
    "accounts": [
        {
            "id": ACCOUNT,
            "account_id": ACCOUNT,
            "name": "An account",
            "structure": "personal",
            "plan_type": "pro",
            "is_deactivated": False,
            "is_fedramp_compliant_workspace": False,
            "can_access_with_session": True,
            "sso_connection_name": None,
            "profile_picture_url": None,
            "workspace_backend_origin": "https://chatgpt.com",
            "account_routing_override": "NO_CONSTRAINT",
        }
    ],
    "default_account_id": ACCOUNT,
}
_TIER: Final = {"id": "free-tier", "name": "Free", "isDefault": True}
_CODE_ASSIST: Final = {
    "currentTier": _TIER,
    "allowedTiers": [_TIER],
    "cloudaicompanionProject": "a-project",
    "done": True,
    "response": {"cloudaicompanionProject": {"id": "a-project", "name": "a-project"}},
    "buckets": [],
}
_QUESTION: Final = "Which colour?"
_REFUSED: Final = "the model refuses this"
_SHELLS: Final = ("exec_command", "shell_command", "shell")
_EDIT: Final = "made.txt\n```\n<<<<<<< SEARCH\n=======\nmade-42\n>>>>>>> REPLACE\n```\n"
_ANTHROPIC_SHELLS: Final = ("Bash", "bash")


class ModelServer:
    """Serves in threads of its own, from `with` to the end of it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.prompts: list[str] = []
        """What users have typed, as far as the agents have asked a model about it."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Host, path and fields of all requests; the names of fields are in lower case."""
        self.instructions: list[str] = []
        """What agents have told their models besides prompts: the bodies of all requests."""
        self.numbers = itertools.count(1)
        self.halfway = threading.Event()
        """A stream waits in its middle ..."""
        self.proceed = threading.Event()
        """... until this is set."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.model = self  # type: ignore[attr-defined]
        # The handshake is the connection's own: one that hangs must not keep the others.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.proceed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def words(self) -> Iterator[str]:
        """Yield the words of a streamed answer, and wait in the middle."""
        for number in range(WORDS):
            if number == WORDS // 2:
                self.halfway.set()
                self.proceed.wait(PATIENCE_S)
            yield f"word{number} "


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _model(self) -> ModelServer:
        return self.server.model  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._note()
        self._answer({}, body=False)

    def do_GET(self) -> None:
        self._note()
        if "Upgrade" in self.headers:  # Codex tries a WebSocket first
            self._answer({}, 426)
            return
        self._answer({"object": "list", "data": [], "models": []} | _ACCOUNT)

    def _note(self) -> None:
        fields = {name.lower(): value for name, value in self.headers.items()}
        self._model.requests.append((fields.get("host", ""), self.path, fields))

    def do_POST(self) -> None:
        self._note()
        path = self.path.partition("?")[0]
        try:
            body = self._body()
            if path == "/tokeninfo":
                self._answer(_ACCOUNT)
                return
            self._model.instructions.append(body.decode(errors="replace"))
            asked: Json = json.loads(body or b"{}")
            if b"REFUSED" in body and b"RECOVER" not in body:
                error = {"type": "invalid_request_error", "code": 400, "message": _REFUSED}
                self._answer({"type": "error", "error": error}, 400)
                return
            if path.endswith("/messages"):
                self._messages(asked)
            elif path.endswith("/responses"):
                self._responses(asked)
            elif path.lower().endswith("generatecontent"):
                self._gemini(asked)
            elif path.startswith("/v1internal:"):
                self._answer(_CODE_ASSIST)
            else:
                self._answer({"input_tokens": 42}, 200 if path.endswith("/count_tokens") else 404)
        except (ConnectionError, ValueError):
            self.close_connection = True  # the agent, or the proxy before it, was killed

    # --- Anthropic's Messages ---

    def _messages(self, asked: Json) -> None:
        # Claude Code adds messages of its own behind the user's.
        last = [each for each in asked["messages"] if each["role"] == "user"][-1]["content"]
        blocks: list[Json] = last if isinstance(last, list) else [{"type": "text", "text": last}]
        said = "\n".join(block.get("text", "") for block in blocks)
        results = [block for block in blocks if block["type"] == "tool_result"]
        tools = [tool["name"] for tool in asked.get("tools") or []]
        tool, arguments = _tool(said, tools)
        shells = [name for name in tools if name in _ANTHROPIC_SHELLS]
        if "WRITE" in said and "SEARCH/REPLACE" in json.dumps(asked.get("system")):
            parts = [_text(_EDIT)]
        elif results:
            parts = [_text(f"All done. The tool said: {_flat(results[-1]['content'])}")]
        elif tool:
            parts = [
                {"type": "tool_use", "id": self._new_id("toolu"), "name": tool}
                | {"input": arguments}
            ]
        elif shells and (command := self._command(said)):
            call = {"command": command, "description": "Do it"}
            parts = [
                _text("Let me see. "),
                {"type": "tool_use", "id": self._new_id("toolu"), "name": shells[0]}
                | {"input": call},
            ]
        elif "AskUserQuestion" in tools and "ASK" in said:
            options = [{"label": each, "description": each} for each in ("Red", "Blue")]
            question = {"question": _QUESTION, "header": "Colour", "multiSelect": False}
            call = {"questions": [question | {"options": options}]}
            parts = [
                {"type": "tool_use", "id": self._new_id("toolu"), "name": "AskUserQuestion"}
                | {"input": call}
            ]
        else:
            parts = [_text("")] if tools and "STREAM" in said else [_text('{"title": "A test"}')]
        stop = "tool_use" if parts[-1]["type"] == "tool_use" else "end_turn"
        usage = {"input_tokens": 100, "output_tokens": 50}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"]}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
        if not asked.get("stream"):
            self._answer(message | {"content": parts, "stop_reason": stop})
            return
        self._begin_events()
        self._event({"type": "message_start", "message": message | {"content": []}})
        for index, part in enumerate(parts):
            self._block(index, part)
        delta = {"stop_reason": stop, "stop_sequence": None}
        self._event({"type": "message_delta", "delta": delta, "usage": usage})
        self._event({"type": "message_stop"})
        self._end_events()

    def _block(self, index: int, part: Json) -> None:
        empty = {"text": ""} if part["type"] == "text" else {"input": {}}
        self._event({"type": "content_block_start", "index": index, "content_block": part | empty})
        if part["type"] == "tool_use":
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(part["input"])}]
        else:
            texts = [part["text"]] if part["text"] else self._model.words()
            deltas = ({"type": "text_delta", "text": text} for text in texts)
        for delta in deltas:
            self._event({"type": "content_block_delta", "index": index, "delta": delta})
        self._event({"type": "content_block_stop", "index": index})

    # --- OpenAI's Responses ---

    def _responses(self, asked: Json) -> None:
        items: list[Json] = asked["input"]
        last = items[-1]
        said = _flat(last.get("content", "")) if last.get("role") == "user" else ""
        tools = [tool.get("name") or tool["type"] for tool in asked.get("tools") or []]
        spaces = {
            each["name"]: tool["name"]
            for tool in asked.get("tools") or []
            for each in tool.get("tools", ())
        }
        tool, arguments = _tool(said, [*tools, *spaces])
        shell = next((name for name in _SHELLS if name in tools), None)
        if last["type"] in {"function_call_output", "custom_tool_call_output"}:
            texts: Any = [f"All done. The tool said: {_flat(last['output'])}"]
        elif tool:
            texts = None
            item: Json = {"type": "function_call", "id": self._new_id("fc"), "name": tool}
            item["call_id"] = self._new_id("call")
            item |= {"arguments": json.dumps(arguments), "status": "completed"}
            item |= {"namespace": spaces[tool]} if tool in spaces else {}
        elif shell and (command := self._command(said)):
            texts = None
            field = {"exec_command": "cmd"}.get(shell, "command")
            value = ["bash", "-c", command] if shell == "shell" else command
            item = {"type": "function_call", "id": self._new_id("fc"), "name": shell}
            item["call_id"] = self._new_id("call")
            item |= {"arguments": json.dumps({field: value}), "status": "completed"}
        else:
            texts = self._model.words() if "STREAM" in said else ["Hello."]
        response = {"id": "resp_1", "object": "response", "model": asked["model"], "output": []}
        self._begin_events()
        self._event({"type": "response.created", "response": response | {"status": "in_progress"}})
        if texts is not None:
            item = self._message(texts)
        self._event({"type": "response.output_item.done", "output_index": 0, "item": item})
        usage = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}
        done = response | {"status": "completed", "output": [item], "usage": usage}
        self._event({"type": "response.completed", "response": done})
        self._end_events()

    def _message(self, texts: Iterator[str]) -> Json:
        """Stream a message, and return it as a whole."""
        item: Json = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
        self._event({"type": "response.output_item.added", "output_index": 0, "item": item})
        whole = ""
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        for text in texts:
            whole += text
            self._event({"type": "response.output_text.delta", "delta": text} | place)
        return item | {"content": [{"type": "output_text", "text": whole, "annotations": []}]}

    # --- Gemini's generateContent, by itself and inside Code Assist ---

    def _gemini(self, asked: Json) -> None:
        request: Json = asked.get("request", asked)
        parts: list[Json] = request["contents"][-1].get("parts", [])
        said = "\n".join(part.get("text", "") for part in parts)
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        tools = [
            each["name"]
            for tool in request.get("tools") or []
            for each in tool.get("functionDeclarations") or []
        ]
        tool, arguments = _tool(said, tools)
        if results:
            part: Json = {"text": f"All done. The tool said: {json.dumps(results[-1]['response'])}"}
        elif tool:
            part = {"functionCall": {"name": tool, "args": arguments}}
        elif _GEMINI_SHELL in tools and (command := self._command(said)):
            arguments = {"command": command, "description": "Do it"}
            part = {"functionCall": {"name": _GEMINI_SHELL, "args": arguments}}
        elif "ask_user" in tools and "ASK" in said:
            options = [{"label": each, "description": each} for each in ("Red", "Blue")]
            question = {"question": _QUESTION, "header": "Colour", "type": "choice"}
            arguments = {"questions": [question | {"options": options}]}
            part = {"functionCall": {"name": "ask_user", "args": arguments}}
        else:
            # Without tools it is asked for a judgement of the prompt, in JSON.
            part = {"text": "Hello." if tools else _JUDGEMENT}
        content = {"role": "model", "parts": [part]}
        response: Json = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}
        response["usageMetadata"] = {"promptTokenCount": 100, "candidatesTokenCount": 50}
        answer = {"response": response} if "request" in asked else response
        if "stream" not in self.path:
            self._answer(answer)
            return
        self._begin_events()
        self._event(answer)
        self._end_events()

    # --- common ---

    def _new_id(self, kind: str) -> str:
        """Return a name that no other call has: agents remember those of earlier sessions."""
        return f"{kind}_{next(self._model.numbers)}"

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _command(self, said: str) -> str | None:
        """Return the command that a prompt asks for."""
        self._model.prompts.append(said)
        found = re.search(r'("?)RUN:(.*)\1', said)  # OpenCode puts a prompt in quotes
        return found[2].strip() if found else None

    def _answer(self, value: Json, status: int = 200, *, body: bool = True) -> None:
        data = json.dumps(value).encode() if body else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, event: Json) -> None:
        name = f"event: {event['type']}\n" if "type" in event else ""
        data = f"{name}data: {json.dumps(event)}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _end_events(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _tool(said: str, tools: list[str]) -> tuple[str, Json]:
    """Return the tool that a prompt asks for, and its arguments; no name where it asks for none."""
    found = re.search(r"TOOL:(\S+) (\{.*\})", said)
    if found is None:
        return "", {}
    name = next((each for each in tools if each.endswith(found[1])), "")
    return name, json.loads(found[2])


def _flat(content: Any) -> str:
    """Return the text of a message's content, in any of its forms."""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content)
