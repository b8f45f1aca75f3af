"""HTTP/1.0 and HTTP/1.1 (RFC 9112): one request after the other on a connection.

`parser` reads heads strictly, `bodies` reads what follows them, and `writer` writes heads anew: no head
is forwarded as it was received. `server` is the client's connection, `client` one to a server, and
`connection` what both have in common. `hangup` notices clients that leave while nothing is read.
"""
