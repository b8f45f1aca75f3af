"""Reaching the supervisor of a run.

`launch` connects to it, and starts one where none lives. `standby` starts one ahead, for a run that is
being made. `spawn` starts the process. `supervisor_client` makes requests of its API, `channel` speaks
frames with it once a connection is upgraded. `restart_limit` gives up on a run whose supervisors die
one after the other.
"""
