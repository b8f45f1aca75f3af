"""The user's side of a run: start its supervisor, talk to it, show it on a terminal.

`launch` starts a supervisor where none lives, and `supervised` asks it things; neither keeps
anything alive. `attach` shows a session: `keys` reads the keyboard's escape keys, `terminal` owns the
terminal and gives it back. No asyncio here: a client is short-lived and must start at once.
"""
