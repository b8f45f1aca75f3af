"""Sessions: a command's output on its way to disk and to its viewers, and its input on the way back.

The order never changes: program, pipe, journal, screen, viewers. Whatever is shown is on disk already.

- `session` is one session, which moves output along and sets the program's size.
- `io` is the program's terminal or pipes, and `input` a queue of keys for a program that may not read.
- `viewers` watch the session, each at its own pace, through a `write_queue` each.
- `journal` is the output on disk, and everything that is read from there.
- `terminal` is the emulated screen of a program with a TTY, and the filter between it and viewers.
- `checkpoints` are the screens that a session keeps in its journal. `rebuild` makes a screen from a
  journal: the one place, beside `session`, where journal and terminal meet.

A session knows neither the supervisor that holds it nor the engine behind its descriptors.
"""
