"""The sandboxed commands: started, held, signalled, reaped.

`sessions` keeps one `session` for each command and answers what the supervisor asks of them. `start`
makes a command's streams (`streams`) and forks; in the child, `spawn` puts descriptors, limits and
signals in place, `devices` keeps the host's inodes out of its reach, and `enter` joins a sandbox that
runs already.
"""
