"""The commands: one file each, options → client call → result → text. No logic lives here.

`main` loads a command's module when it is used, and is the only place where an error becomes text
and an exit code. `output` draws tables.
"""
