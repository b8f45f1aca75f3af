"""HTTP/2 (RFC 9113): many streams on a connection, each with a request of its own.

The state machine is h2's. `frames` checks what it leaves open before h2 sees the data; `heads` reads
and writes field sections. A `connection` has many streams (`stream`) with a flow control of their own;
`server` is the client's connection, `client` one to a server.
"""
