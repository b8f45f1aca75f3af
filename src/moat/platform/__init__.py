"""Services of the operating system beyond Python's own interface to it.

Most of it is Linux's own, and has its counterpart elsewhere: `inotify` (kqueue), `process` (pidfd;
kqueue), `sockets` (peers' credentials, names below `/proc`). `tty` is POSIX; `commits` is how
processes tell each other of changes to a database, which every system can do.
"""
