"""Waiting for a run to change, without polling.

`follow` wakes whoever reads what a run has recorded, `output` follows its output, `run_list` the list
of all runs, and `glances` what they look like. `wait` waits for an end, for quiet or for text.
"""
