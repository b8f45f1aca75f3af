"""Services of a run: databases, queues and the like, in containers beside the command's.

- `entry` is a service of the registry, `catalog` reads those of Moat (`data`) and the user's.
- `resolve` makes of what a file or an option asks for a `spec.Service`, which is complete.
- `variables` fills in the password that a run has made for it.
- `readiness` says what to send to a service, and by which answer it is known to be ready.

Only `catalog` does I/O. `engines.container` makes the containers, `supervisor.services` waits for them.
"""
