"""The messages between a supervisor and a shim, and how they change from version to version.

One message is one JSON object in one packet (SOCK_SEQPACKET), with descriptors beside it. The
supervisor sends commands, `{"do": NAME, ...}`. Each is answered once and in order: with
`{"answer": true, ...}`, and with `error` and `errno` in it if it has failed. These are the commands,
their fields, and the fields of the answer:

    hello        version, oldest               version, oldest, pid, sessions
    mount        mounts, terminals             (of containers alone, before launch)
    launch       see `launch.start.launch`,    as `streams`, for the session `main`
                 `launch.start.join`
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
    keep         name, and a socket if none    (the socket)
                 of that name is kept
    release                                    (the shim ends)

`sessions` maps each name to `pid`, `tty` and `exit_code`; pid and exit code may be null. Events,
`{"event": NAME, "session": ...}`, may come between answers:

    started      pid
    exited       exit_code, and perhaps out_of_memory, which is true then
    failed       message

A run can live for weeks, and Moat may be upgraded meanwhile: an old shim under a new supervisor is
the normal case. These rules keep them talking:

1. In `hello` each side names the newest version that it speaks and the oldest; without `oldest` it
   speaks one only. Where the two ranges don't meet, the supervisor leaves the run alone.
2. A new field needs no new version: its receiver has a default for when it is missing. Unknown
   fields and events are ignored.
3. Any other change makes a new `VERSION`. Both sides go on speaking the old ones, down to `OLDEST`.
4. `launch` and `mount` are free of these rules: a supervisor sends them to shims of its own version
   alone. A shim of another version that holds no session has nothing to lose, and is replaced.

`tests/shim/corpus` keeps conversations of every version, and tests hold both sides to them. What
versions 2 and 3 have changed is `launch`; version 4 has `keep`, which a supervisor needs for runs that
it has launched under such a shim alone.
"""

from __future__ import annotations

VERSION = 4
OLDEST = 1

MAX_MESSAGE = 192 * 1024
MAX_DESCRIPTORS = 250  # SCM_MAX_FD is 253
