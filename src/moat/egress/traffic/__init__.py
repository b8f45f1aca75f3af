"""The record of what went over a run's network, in the database `run.db` of the run.

- A `TrafficEntry` (`entry`) is filled in while something happens: a request, a DNS question, a tunnel
  or a refusal.
- A `TrafficWriter` (`writer`) writes entries as rows, many at a time, in a thread of its own.
- A `TrafficReader` (`reader`) reads rows while they are written, and afterwards.
- `schema` is the layout of the database and of a row; `versions` reads and continues earlier layouts.
- `redact` masks secrets before anything is written, and `llm_usage` counts the tokens of language
  models in their responses.
- `totals` and `har` are made of rows: sums, and an archive for browsers' tools.

Everything here is pure, but `writer`, `reader` and `versions`.
"""
