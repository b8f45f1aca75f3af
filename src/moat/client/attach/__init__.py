"""A session on this terminal.

`attach` connects, again and again where supervisors die, and deals with how it ends. `view` is one
connection: keys in, output out, signals between. `terminal` sets up the user's terminal and gives it
back; `signals` turns signals into something to wait for.
"""
