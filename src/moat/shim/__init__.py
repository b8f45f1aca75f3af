"""The one process of a run that must not die: stdlib only, no event loop, readable in one sitting.

The shim lives in the sandbox's user and network namespaces, outside its mount and pid namespaces:
the sandbox can't see it. It

- is the parent of every sandboxed command: holds its pty or pipes, reaps it, and writes its exit
  status to disk (`sessions`, `spawn`, `join`);
- makes the sockets that live in the sandbox's network (`network`);
- hands descriptors to the run's current supervisor over SCM_RIGHTS (`main`), and waits for the
  next one when that dies. Meanwhile nobody drains the output, so the command waits and nothing is
  lost.

Its imports are few because its start is on the way of every `moat run`: no dataclasses (they load
`inspect`), no typing, no pathlib, no subprocess: 30 ms instead of 50.

It never reads output, never holds a credential, and knows nothing of the rest of Moat: what to start
is told to it. `engines.shim_link` is its counterpart.
"""
