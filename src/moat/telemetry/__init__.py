"""What a run has done as spans of OpenTelemetry, for a collector of the user's.

A process of its own follows the record on disk (`follower`), so no request waits for it, and a collector
that hangs slows nothing but that process. `spans` makes spans of rows and events without I/O, `record`
reads these, and `otlp` sends or writes spans with OpenTelemetry's own SDK, the extra `moat[otlp]`.
"""
