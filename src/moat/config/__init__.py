"""What the user wrote, checked, and made into a specification.

`document` reads YAML with the line of every value and checks it against a table of `fields`;
`agent_file` is the table of `agent.yaml`, `settings` that of `$MOAT_HOME/config.yaml`. `compile` joins
file and command line into a `RunSpec`; flags win. Nothing below `config` sees a configuration.
"""
