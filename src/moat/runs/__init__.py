"""The run: its states, its row in the index, its folder, its locks.

`states` is the table of what may follow what. `store` is the index (`moat.db`) and the folders; a
run's row is written by its creator and from then on only by its supervisor. `lock` says whether that
supervisor is alive.
"""
