"""Keys: how terminals send them, how users name them, and what the client makes of them. No I/O.

`key_forms` decodes one key from the bytes that a terminal sends. `keys` cuts a stream of input into
keys and finds the escape prefix among them. `key_names` goes the other way, from a name such as
`ctrl-c` to bytes. `interrupts` decides what Ctrl-C means to a client that only watches.
"""
