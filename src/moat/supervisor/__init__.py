"""The process that runs one run: started by any client, restartable at any moment.

`__main__` takes the run's lock, listens, and only then loads the rest. `process` is its life in a
screen; `supervisor` what it does with its run: take over or start, serve, see the end. Beside that
stand `state` (the row), `audience` (who watches), `executing` (further commands), `ending` (stop and
kill), `background` (work nobody awaits). `api` is what clients ask, `attached` a client that watches.

It is the only place where the parts meet, and the only writer of its run's state.
"""
