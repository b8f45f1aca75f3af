"""The commands, one file each: from options to calls of the client, from results to text.

Decisions are made elsewhere. `main` loads the module of a command when it is used. `plain` has the
commands that don't wait for click where their command lines are plain. `outcome` is the only place where
an error becomes text and an exit code. `found` finds the run that a command is about. `arguments` has
what several commands take, `output` draws tables, `stdio` makes the standard streams reliable.
`trace_text` belongs to `trace`, `rule_change` to `allow` and `deny`, `explained` to `policy test`, and
`consent` is what `run` asks the user.
"""
