"""Runs on disk: the states of a run, its row in the index, its folder, its locks and its events.

`states` is the table of the states and the steps between them. `store` has the runs of one `MOAT_HOME`:
the index (`moat.db`, see `index`) and the folders. The creator of a run writes its row, and from then on
only its supervisor does. `lock` tells whether that supervisor is alive. `saved_rules` and `consents`
have what the user has decided about a folder for all of its runs.
"""
