"""The user's files in the hands of a run: what it may write, and what the host must not obey afterwards.

Every engine needs this. Before a run, `protected_paths` finds what programs on the host obey in
a folder that the run may write (`known_paths` is the table of such paths), `covers` makes the engine
mount it read-only, and `snapshot` records it. After the run, `cleanup` puts aside what git would obey
now and did not before (`quarantine`), undoes what would hide changes (`git_index_review`), and reports
what is new for other programs (`watched_paths`). All of this is kept as `findings`.

The workspace may have been in the hands of a hostile run before. Nothing here follows its symbolic
links without looking where they lead (`beneath`, `links`), and everything that it can make long is
bounded.
"""
