"""The journal: what a session's command wrote, on disk, and everything that is read from there.

`journal` writes the bytes and `reader` reads them; `index` says when they came and how large the
terminal was. `checkpoint` keeps the screen as it was when a segment began.
`transcript` puts both together into `events` for `moat logs` and `moat replay`; `asciicast` writes
those as a recording. Nothing here knows what the bytes mean: that is `session.terminal`.
"""
