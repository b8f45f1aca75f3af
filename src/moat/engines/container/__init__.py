"""Containers of Docker Engine or Podman, entered by the shim.

The engine makes the container of a run from an image: its files, its limits, its empty network. Moat's
own `init_program` is all that the engine starts in it. The shim then takes over: it captures the
network, mounts the workspace and what else the run gets, and starts every command as its own child, as
it does under bubblewrap. So a run needs the engine for its beginning and its end alone, and whatever
happens to the daemon in between, neither output nor exit code passes through it.

- `endpoints` finds the sockets of engines, `api` speaks to one; each call has a deadline.
- `states` reads what an engine says of a container, `request` asks for one, `cgroups` finds its limits.
- `mounts` collects what the shim mounts, `contents` decides on it.
- `services` makes the containers of a run's services, and `service_log` reads what they write.
- `engine` puts them together for one run; `leftovers` finds containers that belong to no run.
"""
