"""Snapshots of the workspace of a run, while it is at work and afterwards.

The first one is the record of the start, which every run has (`recorder`). Another one is the
difference from that (`record`, `delta`): a scan of metadata finds what has changed since the newest, and
only that is read (`taking`). Contents that the start doesn't have lie in the run's folder, a file for
each, by their SHA-256 (`blobs`). `History` is all of this for one run; `worker` is the process that a
supervisor starts.

What comes back from a snapshot is decided without I/O (`protection`, `restore_plan`) and carried out by
`restoring`, which follows no link of a run's.
"""
