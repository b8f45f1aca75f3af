"""What supervisor and shim say to each other.

One message is one JSON object in one packet (SOCK_SEQPACKET), with descriptors beside it. The supervisor
sends commands, `{"do": NAME, ...}`. Each is answered once and in order, with `{"answer": true, ...}`, or
with `error` and `errno` beside it. Events, `{"event": NAME, "session": ...}`, may come between answers.

| command                         | answer, and its descriptors                                     |
|---------------------------------|-----------------------------------------------------------------|
| `hello`                         | `version`, `pid`, `sessions`: name to `pid`, `tty`, `exit_code` |
| `launch` ...                    | as `streams`, of the session `main`                             |
| `exec session`, with a file     | as `streams`                                                    |
| `streams session`               | `fds`: the names of the descriptors                             |
| `signal session signal`         |                                                                 |
| `kill session`                  |                                                                 |
| `close_stdin session`           |                                                                 |
| `forget session`                |                                                                 |
| `listen family kind address port` | one listening or datagram socket                              |
| `packets filter`                | one packet socket                                               |
| `dial address port`             | one connected or connecting socket                              |
| `release`                       | the shim ends                                                   |

| event     | beside `session` |
|-----------|------------------|
| `started` | `pid`            |
| `exited`  | `exit_code`      |
| `failed`  | `message`        |
"""

from __future__ import annotations

VERSION = 1

MAX_MESSAGE = 192 * 1024
MAX_DESCRIPTORS = 250  # SCM_MAX_FD is 253
