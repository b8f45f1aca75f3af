"""The sandbox's network namespace (`namespace`) and the sockets that are made in it (`sockets`).

Nothing here knows how commands get into the namespace, so every engine can use it.
"""
