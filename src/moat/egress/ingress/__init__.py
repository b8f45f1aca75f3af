"""Ingress: what comes from the sandbox, up to the protocol that serves it.

- *Listeners* accept on sockets that were made inside the sandbox's network.
- The *acceptor* classifies a *new connection* by its first bytes, which it leaves in the socket.
- The *proxy port* answers CONNECT and SOCKS.
- A *tunnel* passes bytes unread where the policy opens one.
- *Blocked attempts* are those that no listener met, as a packet socket shows them.

Whatever comes here is hostile: a connection that says nothing useful is closed and recorded. No
connection to a server is made here; the counterpart that makes them is `upstream`.
"""
