"""What supervisor and shim say to each other.

One message is one JSON object in one packet (SOCK_SEQPACKET), with descriptors beside it. The
supervisor sends commands, `{"do": NAME, ...}`. Each is answered once and in order: with
`{"answer": true, ...}`, and with `error` and `errno` in it if it has failed. These are the commands,
their fields, and the fields of the answer:

    hello                                      version, pid, sessions
    launch       see `launch.start.launch`     as `streams`, for the session `main`
    exec         session, and in a file what   as `streams`
                 `launch.start.join` takes
    streams      session                       fds: the descriptors' names
    signal       session, signal
    kill         session
    close_stdin  session
    forget       session
    listen       family, kind, address, port   (a socket)
    packets      filter                        (a socket)
    dial         address, port                 (a socket)
    release                                    (the shim ends)

`sessions` maps each name to `pid`, `tty` and `exit_code`; pid and exit code may be null. Events,
`{"event": NAME, "session": ...}`, may come between answers:

    started      pid
    exited       exit_code
    failed       message
"""

from __future__ import annotations

VERSION = 2

MAX_MESSAGE = 192 * 1024
MAX_DESCRIPTORS = 250  # SCM_MAX_FD is 253
