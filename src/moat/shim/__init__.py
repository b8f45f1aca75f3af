"""The one process of a run that must not die: standard library only, readable in one sitting.

The shim lives in the sandbox's user and network namespaces and outside its mount and pid namespaces,
so the sandbox can't see it. Two halves of it know nothing of each other:

- `netns` is the network namespace, in which every address is the loopback's, and the sockets in it.
- `launch` is the sandboxed commands. The shim is their parent: it holds their ptys and pipes, reaps
  them and writes their exit statuses to disk.

`server` carries both. It answers the run's current supervisor, hands descriptors over (SCM_RIGHTS)
and waits for the next supervisor when that one dies. Meanwhile nobody drains the output, so the
commands wait and nothing is lost. `main` puts the parts together; `protocol` describes the messages.
An engine whose commands have another parent, such as a container daemon, needs `server` and `netns`
alone.

The shim never reads output, never holds a credential, and knows nothing of the rest of Moat, nor of
the sandbox's shape: it is told what to start. Its counterpart in the supervisor is
`engines.under_shim.shim_client`.

Every `moat run` waits for the shim to start, so it imports little: no dataclasses (they load
`inspect`), no typing, no pathlib, no subprocess, no event loop.
"""
