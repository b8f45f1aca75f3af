"""Common parts of the engines whose commands are children of the shim, in whatever sandbox.

`engine` is their common part, and speaks to the shim by `shim_client`. `seccomp` is the filter of the
system calls of a command, `packet_filter` that of the attempts which the network refuses. `user_mounts`
adds what the user has asked for, `granted_files` what a run's credentials need, and `own_files` its
names. `writable_areas` refuses a run that could write what the host obeys.
"""
