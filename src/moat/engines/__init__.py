"""Engines make sandboxes and start commands in them.

`engine` is the interface that a supervisor knows, `registry` makes the engine that a run asks for, and
`bubblewrap` is the engine that there is. `trust_store` is for every engine: it makes a sandbox's
programs trust the run's certificate authority.
"""
