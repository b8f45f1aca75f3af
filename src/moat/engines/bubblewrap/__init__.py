"""The embedded engine: bubblewrap under the shim, without a daemon, an image or root.

- `layout` turns a run's specification into bubblewrap's arguments: all that the sandbox sees. `system`,
  `etc_files`, `toolchains` and `user_mounts` each add a part, and `mounts` collects them.
- `seccomp` says which system calls the sandbox has, `rlimits` how much it may use, and `memory_files`
  holds what bubblewrap reads, and its own program.
- `engine` starts commands and finds them again, through the shim (`shim_client`, `moat.shim`).
- `packet_filter` selects the packets that the sandbox's network refused; `host_checks` tells what this
  machine lacks.
"""
