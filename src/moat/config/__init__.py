"""The user's configuration, checked and made into a specification.

`document` reads YAML, with the line of every value, and checks it against a table of `fields`.
`agent_file` has the table of `agent.yaml`, `settings` that of `$MOAT_HOME/config.yaml`. What
`agent.yaml` opens (`openings`) holds once the user agrees to it (`consent`). `compile` joins both files
and the command line, which wins, into a `RunSpec`. Nothing below this package sees a configuration.
A `catalog` is of things with a file each: agents and providers of credentials.
"""
