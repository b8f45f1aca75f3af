"""Runs in a sandbox: tries to get out by everything but the proxy, and prints what came of each try.

    python3 escape.py SETTINGS

SETTINGS is a JSON file: `addresses` and `ports` that something outside may listen on, ports that are
`captured`, `paths` of the host, `abstract` names of its unix sockets, a `mark` that is in the
environment of processes outside.
The answer is JSON: {try: "done ..." or the name of an error}.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

PATIENCE_S = 60.0
LIBC = ctypes.CDLL(None, use_errno=True)
NAMESPACES = {
    "NEWNS": 0x00020000,
    "NEWUSER": 0x10000000,
    "NEWPID": 0x20000000,
    "NEWNET": 0x40000000,
    "NEWUSER|NEWNET": 0x50000000,
}
PTRACE_ATTACH, TIOCSTI, SIOCSIFFLAGS = 16, 0x5412, 0x8914
PROTOCOLS = {
    "sctp": (socket.SOCK_STREAM, 132),
    "mptcp": (socket.SOCK_STREAM, 262),
    "udplite": (socket.SOCK_DGRAM, 136),
    "dccp": (6, 33),
}
SOCKETS = {
    "ICMP": (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "raw ICMP": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "raw ICMPv6": (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "raw TCP": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "raw IP": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "raw IPv6": (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "packet": (17, socket.SOCK_RAW),
    "bluetooth": (31, socket.SOCK_RAW),
    "vsock": (40, socket.SOCK_STREAM),
    "tipc": (30, socket.SOCK_RAW),
    "xdp": (44, socket.SOCK_RAW),
}
COMMANDS = (
    "ip route add 203.0.113.0/24 dev lo",
    "ip route del local default dev lo table local",
    "ip link set lo down",
    "ip link add dummy0 type dummy",
    "nft add table inet x",
    "unshare -n true",
    "unshare -U true",
    "unshare -r true",
    "nsenter -t 1 -n true",
    "mount -t proc proc /mnt",
)

found = {}


def attempt(name, action, *arguments):
    try:
        result = action(*arguments)
    except TimeoutError:
        result = "hangs"
    except OSError as error:
        result = errno.errorcode.get(error.errno, str(error))
    found[name] = result


# --- sockets ---


def connect(address, port):
    with socket.create_connection((address, port), PATIENCE_S):
        return "done: connected"


def datagram(address, port):
    """The kernel's refusal of the first is an error of the second."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.connect((address, port))
        sock.send(b"secret")
        sock.recv(100)
        return "done: answered"


def fast_open(address, port):
    """Data in the very first packet (RFC 7413)."""
    with socket.socket() as sock:
        sock.sendto(b"secret", socket.MSG_FASTOPEN, (address, port))
        sock.recv(1)
        return "done: sent"


def other_protocol(kind, protocol, address, port):
    with socket.socket(socket.AF_INET, kind, protocol) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((address, port))
        sock.send(b"secret")
        sock.recv(100)
        return "done: answered"


def make(*kind):
    with socket.socket(*kind):
        return "done: made"


def steal(port):
    """A captured port, with all that allows two to have one."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("198.18.0.1", port))
        sock.listen()
        return "done: bound"


def unix(name):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(name)
        return "done: connected"


def loopback_down():
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        return "done: down"


def open_file(path):
    with Path(path).open("rb"):
        return "done: opened"


# --- the kernel ---


def call(function, *arguments):
    ctypes.set_errno(0)
    if function(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return "done: called"


def join(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return call(LIBC.setns, fd, 0)
    finally:
        os.close(fd)


def type_into_terminal():
    master, slave = os.openpty()
    try:
        fcntl.ioctl(slave, TIOCSTI, b"x")
        return "done: typed"
    finally:
        os.close(master)
        os.close(slave)


def run(words):
    try:
        done = subprocess.run(words.split(), capture_output=True, timeout=PATIENCE_S, check=False)
    except FileNotFoundError:
        return "no such program"
    except subprocess.TimeoutExpired:
        return "hangs"
    return "done: 0" if done.returncode == 0 else f"exit {done.returncode}"


# --- what can be seen ---


def unix_sockets():
    """Of the file system, and of this network namespace."""
    seen = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    for folder, folders, files in os.walk("/"):
        if folder == "/":
            folders[:] = [each for each in folders if each not in ("proc", "sys", "usr")]
        for name in files:
            path = Path(folder, name)
            try:
                if path.is_socket():
                    seen.append(str(path))
            except OSError:
                continue
    return [each for each in seen if "/" in each or "@" in each]


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def marked(mark):
    """Where a process shows it."""
    wanted = mark.encode()
    return [
        str(path)
        for pattern in (
            "[0-9]*/environ",
            "[0-9]*/cmdline",
            "[0-9]*/task/*/environ",
            "keys",
            "mounts",
        )
        for path in Path("/proc").glob(pattern)
        if wanted in read(path)
    ]


def keys():
    places = ("/etc/moat", os.environ["HOME"], "/tmp", "/run")
    return [
        str(path)
        for place in places
        for path in Path(place).rglob("*")
        if path.is_file() and b"PRIVATE KEY" in read(path)
    ]


def past_the_proxy(settings):
    for address in settings["addresses"]:
        for port in settings["ports"]:
            attempt(f"tcp {address} {port}", connect, address, port)
        for port in (*settings["ports"], 123, 443, 5353, 5355):
            attempt(f"udp {address} {port}", datagram, address, port)
        if ":" not in address:
            port = settings["ports"][0]
            attempt(f"fast open {address}", fast_open, address, port)
            for name, (kind, protocol) in PROTOCOLS.items():
                attempt(f"{name} {address}", other_protocol, kind, protocol, address, port)
    for name, kind in SOCKETS.items():
        attempt(f"socket {name}", make, *kind)
    for port in settings["captured"]:
        attempt(f"steal {port}", steal, port)
    attempt("lo down", loopback_down)


def into_the_host(settings):
    for name in settings["abstract"]:
        attempt(f"unix @{name}", unix, f"\0{name}")
    for path in settings["paths"]:
        attempt(f"unix {path}", unix, path)
        attempt(f"read {path}", open_file, path)
    for name, flags in NAMESPACES.items():
        attempt(f"unshare {name}", call, LIBC.unshare, flags)
    for kind in ("net", "user", "mnt", "pid"):
        attempt(f"setns {kind}", join, f"/proc/1/ns/{kind}")
    attempt("ptrace", call, LIBC.ptrace, PTRACE_ATTACH, os.getppid(), None, None)
    attempt("TIOCSTI", type_into_terminal)
    for words in COMMANDS:
        attempt(words, run, words)


def what_is_seen(settings):
    status = Path("/proc/self/status").read_text().splitlines()
    return {
        "unix sockets": unix_sockets(),
        "marked": marked(settings["mark"]),
        "keys": keys(),
        "descriptors": [
            str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()
        ],
        "capabilities": [line.split()[1] for line in status if line.startswith("Cap")],
        "processes": [int(each.name) for each in Path("/proc").glob("[0-9]*")],
    }


if __name__ == "__main__":
    chosen = json.loads(Path(sys.argv[1]).read_text())
    past_the_proxy(chosen)
    into_the_host(chosen)
    sys.stdout.write(json.dumps(found | what_is_seen(chosen)))
