"""DNS: a name server for the sandbox that asks nobody.

- A *message* (RFC 1035) is read and answered without I/O.
- The *name server* decides by the run's policy which names exist, and records each question.
- *Synthetic addresses* stand for names inside the sandbox, and lead back to them.
- *Responders* are the sockets, for UDP and TCP.

No question ever leaves the host on behalf of the sandbox: a lookup could carry data out. Names are
resolved when a connection is dialled, by `upstream.resolver`.
"""
