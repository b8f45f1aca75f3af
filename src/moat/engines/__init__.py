"""Engines make sandboxes and run commands in them.

`engine` is the interface that a supervisor uses, `registry` finds an engine by its name, `bubblewrap`
is the one that this version has, and `trust_store` prepares the certificates that programs in any
sandbox trust. An engine may import a session's input and output (`moat.session.io`), and knows nothing
of screens, viewers or the proxy.
"""
