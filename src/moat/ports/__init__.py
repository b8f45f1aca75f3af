"""The ways in: servers of a sandbox, reached at ports of the host.

`binding` makes the sockets of the host, which outlive a supervisor. `relay` accepts what comes there,
and joins it to the server inside. Which ports there are, who is told of them and what is recorded is
`supervisor.ports`.
"""
