"""The commands, one file each: from options to calls of the client, from results to text.

Decisions are made elsewhere. `main` loads the module of a command when it is used, and is the only place
where an error becomes text and an exit code. `arguments` has what several commands take, `output` draws
tables, `stdio` makes the standard streams reliable. `trace_text` belongs to `trace`, `rule_change` to
`allow` and `deny`, `explained` to `policy test`, and `consent` is what `run` asks the user.
"""
