"""The router: host names for the published ports of all runs of a store, such as `web.my-run.localhost`.

One process for each store, which outlives clients and runs. A client binds its sockets and starts it
(`client.router`). It speaks HTTP by the proxy's own protocols, and reaches a run at its published port.

- `table` says which port a name means, `host_check` which name a request is for, and `pages` what to
  answer where there is none. They are pure.
- `directory` keeps the table as the store has it, and `upstream` connects to the ports.
- `services` is what a request may ask for; `server` accepts and classifies connections.
- `control` answers `moat router`, and `main` is the life of the process.

No run's server is believed: it gets requests and gives responses, both parsed and written anew.
"""
