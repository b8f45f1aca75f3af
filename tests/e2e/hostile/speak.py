"""Runs in a sandbox: says exactly these bytes to these servers, and writes down what came back.

    python3 speak.py CONVERSATIONS RESULTS

Both are JSON files; bytes stand in them as latin-1. Conversations are held at the same time, each in a
thread. For what they say see tests/e2e/attacks.py.
"""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE_S = 60.0
"""Nothing may take longer: what does, hangs."""
AT_ONCE = 48


def speak(what):
    """One conversation: what was `received`, and how it `ended`."""
    received = bytearray()
    try:
        ended = _converse(what, received, time.monotonic() + PATIENCE_S)
    except TimeoutError:
        ended = "silence"
    except ssl.SSLError as error:
        ended = f"tls: {error.reason}"
    except (ConnectionResetError, BrokenPipeError):
        ended = "reset"
    except OSError as error:
        ended = f"refused: {error.strerror or error}"
    return {"received": received.decode("latin-1"), "ended": ended}


def _converse(what, received, deadline):
    sock = socket.create_connection((what["host"], what["port"]), PATIENCE_S)
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in what["opening"]:
            sock.sendall(piece.encode("latin-1"))
            reply = sock.recv(4096)
            received += reply
            # Refused by CONNECT or SOCKS 5: there is nothing behind it.
            if not (reply.startswith(b"HTTP/1.1 200") or reply[:2] == b"\x05\x00"):
                return "eof" if not reply else "refused"
        if what["tls"] is not None:
            sock = _in_tls(sock, **what["tls"])
            received.clear()
        with sock:
            return _exchange(sock, what, received, deadline)


def _in_tls(sock, sni, alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whose certificate it is does not matter to an attacker.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    return context.wrap_socket(sock, server_hostname=sni)


def _exchange(sock, what, received, deadline):
    """Both directions at once: who only sends does not see that it is refused."""
    for piece in what["pieces"]:
        _listen(sock, received, min(deadline, time.monotonic() + what["pause"]))
        sock.settimeout(PATIENCE_S)
        try:
            sock.sendall(piece.encode("latin-1"))
        except (ConnectionError, ssl.SSLError):
            break  # it has had enough; what it said may still be read
    if what["finishes"]:
        sock.shutdown(socket.SHUT_WR)
    until = what["until"].encode("latin-1")
    while _responses(received) < what["answers"] and not (
        until and received.count(until) >= what["times"]
    ):
        if not _listen(sock, received, deadline):
            return "eof"
        if time.monotonic() >= deadline:
            return "silence"
    return "answered"


def _listen(sock, received, until):
    """What comes until then, or the next piece of it; false at its end."""
    pending = isinstance(sock, ssl.SSLSocket) and sock.pending()
    if not pending and not select.select([sock], [], [], max(0.0, until - time.monotonic()))[0]:
        return True
    sock.settimeout(0)
    try:
        data = sock.recv(1 << 16)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True  # a part of a record, or one of TLS's own
    except ssl.SSLEOFError:
        return False
    received += data
    return bool(data)


def _responses(received):
    """How many complete HTTP/1.1 responses of known length these are."""
    count, at = 0, 0
    while (end := received.find(b"\r\n\r\n", at)) >= 0:
        length = re.search(rb"(?i)content-length: (\d+)", received[at:end])
        at = end + 4 + int(length[1] if length else 0)
        if at > len(received):
            break
        count += 1
    return count


if __name__ == "__main__":
    conversations = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(speak, conversations.values()))
    Path(sys.argv[2]).write_text(json.dumps(dict(zip(conversations, results, strict=True))))
