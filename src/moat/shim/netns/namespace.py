"""The sandbox's network: a loopback that every address on earth belongs to.

A new network namespace has `lo` alone, and it is down. With `lo` up and a `local` default route on
it (AnyIP, ip-route(8)), a connection to any address reaches whoever listens in the namespace; where
nobody does, the kernel refuses at once. There is no other interface, so nothing leaves.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct

from moat.shim import linux

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

# The numbers of rtnetlink(7).
_NETLINK_ROUTE = 0
_RTM_NEWROUTE = 24
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE = 0x001, 0x004, 0x400
_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL = 255, 3, 254, 2
_RTA_OIF = 4
_NLMSG_ERROR = 2

# Some kernels put these into each new namespace; they are down, and only a capability could raise them.
_HARMLESS = {
    *(
        "lo",
        "tunl0",
        "gre0",
        "gretap0",
        "erspan0",
        "sit0",
        "ip6tnl0",
        "ip6gre0",
        "ip_vti0",
        "ip6_vti0",
    ),
}

# Settings of a new network namespace that container engines change: they switch IPv6 off, and let
# programs without rights make ICMP sockets and take the ports below 1024.
_SETTINGS = {
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/lo/disable_ipv6": "0",
    "ipv4/ping_group_range": "1 0",
    "ipv4/ip_unprivileged_port_start": "1024",
}

# A kernel without IPv6 leaves nothing to capture either.
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.ENODEV, errno.EACCES, errno.EPERM}


# What a user has a limited number of, and which part of it one run may take (user.* in sysctl(8)).
# Every namespace counts for itself and for those around it, so a run could take all that the user has.
_SHARES = {"max_inotify_instances": 4, "max_inotify_watches": 2}


def isolate() -> None:
    """Move this process into user and network namespaces of its own. Raises `OSError`."""
    uid, gid = os.geteuid(), os.getegid()
    shares = _shares()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    # user_namespaces(7): an unprivileged process may map itself alone, and only without setgroups.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")
    for path, share in shares.items():
        _write(path, str(share))
    _capture()


def join(init: int) -> None:
    """Move this process into the network namespace of the process behind the pidfd `init`.

    That namespace must be a new one, with `lo` alone: `--network none` of container engines. Raises
    `OSError`; `FileExistsError` where somebody has added to it what leads out.
    """
    linux.setns(init, linux.CLONE_NEWNET)
    others = [name for _, name in socket.if_nameindex() if name not in _HARMLESS]
    if others:
        raise FileExistsError(errno.EEXIST, f"the container has network interfaces: {others}")
    for name, value in _SETTINGS.items():
        path = f"/proc/sys/net/{name}"
        if os.path.exists(path):  # noqa: PTH110  no pathlib
            _write(path, value)
    _capture()


def _capture() -> None:
    _raise_loopback()
    _claim_every_address(socket.AF_INET)
    try:
        _claim_every_address(socket.AF_INET6)
    except OSError as exc:
        if exc.errno not in _NO_IPV6:
            raise


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _claim_every_address(family: socket.AddressFamily) -> None:
    """Do what `ip route add local 0.0.0.0/0 dev lo` (or `::/0`) does, without needing iproute2."""
    route = struct.pack(
        "BBBBBBBBI",
        *(family, 0, 0, 0, _RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, 0),
    )
    loopback = struct.pack("HHi", 8, _RTA_OIF, socket.if_nametoindex("lo"))
    flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE
    body = route + loopback
    message = struct.pack("IHHII", 16 + len(body), _RTM_NEWROUTE, flags, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as sock:
        sock.send(message)
        answer = sock.recv(4096)
    kind, status = struct.unpack_from("4xH10xi", answer)
    if kind == _NLMSG_ERROR and status != 0:
        raise OSError(-status, f"local route on lo: {os.strerror(-status)}")


def _shares() -> dict[str, int]:
    """Return what this run may take of the user's, by the path of the setting.

    Nothing where settings are missing or read-only, as in some containers: the user's own limits hold.
    """
    shares: dict[str, int] = {}
    for name, part in _SHARES.items():
        path = f"/proc/sys/user/{name}"
        if os.path.exists(path) and not os.statvfs(path).f_flag & os.ST_RDONLY:  # noqa: PTH110  no pathlib
            fd = os.open(path, os.O_RDONLY)
            shares[path] = max(1, int(os.read(fd, 64)) // part)
            os.close(fd)
    return shares


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
