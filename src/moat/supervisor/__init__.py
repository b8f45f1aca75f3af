"""The process that runs one run: started by any client, restartable at any moment.

`__main__` takes the run's lock, listens, and only then imports the rest. `supervisor` reads from top
to bottom as the life of the process: take over or start, serve, see the end, leave. `api` is what
clients ask of it, `attached` a client that watches. It is the only place where the parts meet, and
the only writer of its run's state.
"""
