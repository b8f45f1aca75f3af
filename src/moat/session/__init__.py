"""Sessions: a command's output on its way to disk and to its viewers, and its input on the way back.

The order never changes: program, pipe, journal, screen, viewers. Whatever is shown is on disk already.

- `session`: one session, which moves the output along and sets the program's size.
- `viewers`: who watches it, each at a pace of their own; `write_queue` is in front of their sockets.
- `input`: what is typed, on its way to a program that may not read it.
- `journal`: the output on disk, and everything that is read from there.
- `terminal`: the emulated screen of a program with a TTY, and the filter between it and viewers.
- `rebuild`: a screen from a journal, the one place where those two meet.

A session knows neither the supervisor that holds it nor the shim behind its descriptors.
"""
