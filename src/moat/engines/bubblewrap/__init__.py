"""The embedded engine: bubblewrap under the shim, without a daemon, an image or root.

- `layout` turns a run's specification into bubblewrap's arguments: all that the sandbox sees. `system`,
  `etc_files` and `toolchains` each add a part, and `mounts` collects them.
- `rlimits` says how much the sandbox may use, and `host_checks` what this machine lacks.
- `engine` starts commands and finds them again, through the shim (`engines.under_shim`, `moat.shim`).
"""
