"""The way from what a run shows to the user's terminal.

`screen` asks the supervisor for it, or the journal of a run that has ended. `output` writes a
program's output to our standard output and error. `quarantine_notice` says at the end what a run had
left in the workspace.
"""
