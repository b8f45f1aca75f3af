"""Runs in a sandbox: makes a run record as much as it can, and prints how much that was.

python3 fill.py QUESTIONS REQUESTS HOST
"""

from __future__ import annotations

import socket
import struct
import sys

AT_ONCE = 50
PATH = "/" + "x" * 8000


def ask(count):
    """Questions for different names, all of which are answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("8.8.8.8", 53))
        sock.settimeout(100)
        for first in range(0, count, AT_ONCE):
            for number in range(first, first + AT_ONCE):
                name = f"n{number}".encode()
                question = bytes((len(name),)) + name + b"\4test\0" + struct.pack("!HH", 1, 1)
                sock.send(struct.pack("!6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + question)
            for _ in range(AT_ONCE):
                sock.recv(4096)


def request(count, host):
    """Requests with long paths, one after the other."""
    with socket.create_connection(("127.0.0.1", 3128)) as sock, sock.makefile("rb") as answers:
        for number in range(count):
            line = f"GET http://{host}{PATH}{number} HTTP/1.1\r\nHost: {host}\r\n\r\n"
            sock.sendall(line.encode())
            length = 0
            while (field := answers.readline()) != b"\r\n":
                if field.lower().startswith(b"content-length:"):
                    length = int(field.partition(b":")[2])
            answers.read(length)


if __name__ == "__main__":
    ask(int(sys.argv[1]))
    request(int(sys.argv[2]), sys.argv[3])
    sys.stdout.write("filled\n")
