"""The emulated terminal: what the program's output looks like, and what of it viewers may get.

`screen` is all that others need. It is built from `ghostty` (the library, through `ghostty_abi` and
`ghostty_cells`), `restore` (the whole screen as bytes for another terminal), `row_renderer` (single
rows) and `modes`. `filter`, with `filter_strings` and `utf8`, stands between the program and the
terminals of its viewers. Nothing here knows where the bytes come from: that is `session.journal`.
"""
