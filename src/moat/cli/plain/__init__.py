"""The commands that people and scripts call most, without click.

They are `attach`, `grant list`, `list`, `logs`, `run`, `send` and `version`. To load click takes a good
part of a start, and longer than the other six. So `command_line` reads the plain forms of their command
lines, and the module of the command carries it out. All other forms, `--help` and every mistake are left
to click: the modules of `cli` with the same names call the same functions.
"""
