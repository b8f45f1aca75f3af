"""HTTP/2 (RFC 9113): many streams on a connection, each with a request of its own.

The state machine is h2's. `frames` checks what it leaves open before h2 sees the data; `heads` reads
and writes field sections; `connection` has the streams and their flow control, for `server`, the
client's connection, and `client`, one to a server.
"""
