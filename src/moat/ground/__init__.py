"""Trusted ground: the places from which Moat takes what it executes, imports and believes.

A run writes its workspace and what is mounted writable: its *areas*. Nothing that Moat obeys may lie
there, or one run would decide what the next command of Moat's does on the host. `programs` finds the
host's programs, in places that only root or the user can write. `own` lists where the running Moat
itself comes from: its interpreter, its packages, its store, its settings. `own_files` separates its
files from their second names. `areas` decides whether the areas of a run keep away from all that, and
from the folders of the host and the user that are no project. `way` follows a path link by link,
because a link in an area is as bad as a file there.
"""
