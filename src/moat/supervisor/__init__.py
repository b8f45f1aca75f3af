"""The process that supervises one run: any client may start it, and it may be replaced at any moment.

`start` takes the run's lock and listens before it loads the rest; `main` is the process's life. `spare`
is a process from which the next ones are forked, begun by `spare_launch` and found by `spare_claim`.
`run.Supervisor` is the run's: it starts or adopts the sandbox through its engine, and composes

- `sessions` (the commands and their output), `exec` (further commands), `shutdown` (stop and kill),
- `egress` (the way out) with `questions` and `denials`, `ports` (the ways in), `run_secrets`,
- `services` (what runs beside the command) with `service_probe`, by `optional_parts` like `ports`,
- `state` (the run's row), `teardown` (its end),
- `viewers`, `attached`, `connection`, `client_tty` (the clients that watch), `api` (those that ask).

`context.RunContext` is what these parts share; none of them knows the supervisor itself but `api`.
The parts of Moat meet here and nowhere else. A supervisor is the only writer of its run.
"""
