"""Runs in a sandbox: sends DNS questions to name servers of its own choice, and prints the answers.

    python3 questions.py QUESTIONS

QUESTIONS is a JSON file: {name: [transport, address, message in hexadecimal]}; so is the answer:
{name: message in hexadecimal, or "" where none came}.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE_S = 60.0
AT_ONCE = 48
LAST = struct.pack("!6H", 8, 0x0100, 1, 0, 0, 0) + b"\x04last\0" + struct.pack("!HH", 1, 1)


def ask(transport, address, message):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as sock:
        sock.settimeout(PATIENCE_S)
        # Connected: an answer from another address than the asked one is not taken.
        sock.connect((address, 53))
        if transport == "udp":
            # A server answers in turn, if at all: no answer comes behind the one to the last question.
            sock.send(message)
            sock.send(LAST)
            reply = sock.recv(4096)
            return b"" if reply[:2] == LAST[:2] else reply
        sock.sendall(len(message).to_bytes(2, "big") + message)
        with sock.makefile("rb") as answers:
            return answers.read(int.from_bytes(answers.read(2), "big"))


def answer(question):
    transport, address, message = question
    try:
        return ask(transport, address, bytes.fromhex(message)).hex()
    except OSError:
        return ""


if __name__ == "__main__":
    questions = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(answer, questions.values()))
    sys.stdout.write(json.dumps(dict(zip(questions, answers, strict=True))))
