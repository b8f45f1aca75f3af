"""Engines make sandboxes and start commands in them.

`bubblewrap` is the embedded one: `layout` says what the sandbox sees, `seccomp` which system calls it
has, `limits` what it may use up, and `shim_link` talks to the process that holds it all. `host` tells
what this machine lacks.
"""
