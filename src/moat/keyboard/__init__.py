"""Keys: how terminals send them, how users name them, and what Moat makes of them. No I/O.

`key_forms` decodes one key from the bytes that a terminal sends. `tokenizer` and `keys` cut a stream of
input into keys and find the escape prefix among them; `input` adds the clock's part. `overlay` has the
lines that keys call up. `key_names` goes the other way, from a name such as `ctrl-c` to bytes.
`interrupts` decides what Ctrl-C means to somebody who only watches.

A supervisor reads the keyboard of a terminal that was passed to it, and a client any other.
"""
