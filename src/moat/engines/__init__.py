"""Engines make sandboxes and run commands in them.

`engine` is the interface that a supervisor uses, and `registry` finds an engine by its name.
`bubblewrap` and `container` are those that this version has, `under_shim` is what they share, and
`trust_store` prepares the certificates that programs in any sandbox trust. An engine may import a
session's input and output (`moat.session.io`), and knows nothing of screens, viewers or the proxy.
"""
