"""The audit log: what happened to a run, so that somebody can prove it afterwards.

An `entry` commits to its content and to the entry before it. `log` appends entries to a file, before
what they tell of takes effect where that is possible, and signs their Merkle tree (`merkle`) with a
`checkpoint`. The key for that is the installation's (`signing_key`). `bundle` copies a log, with the
files that it commits to, for somebody who has neither the run nor Moat; the `verifier` is all they need.
docs/audit.md is the specification.
"""
