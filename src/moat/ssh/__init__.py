"""The ssh agent of a run: it signs with granted keys, towards granted hosts, and does nothing else.

`agent` is one connection of a client, without I/O: a message comes in, and an answer or a checked
request for a signature goes out. A client first proves which server it talks to; then `userauth` reads
what it wants signed. `signatures` has the algorithms, `encoding` the data types of the protocol,
`known_hosts` the host keys that a grant pins, `key_exchange` finds the session that a connection to a
server carries, and `client` asks the user's own agent. No private key lives here: the supervisor takes
it from the vault for one signature.

The protocol is RFC 9987. `session-bind@openssh.com` is described in OpenSSH's PROTOCOL.agent.
"""
