"""The sandbox's only way out: capture, policy, interception, record.

Pure: `names`, `policy`, `addresses`, `dns`, `client_hello`, `socks`, `http1`, `exchange`, `redact`, `usage`.
Shells: `capture` (what arrives in the sandbox), `server` and `http2` (the side that asked),
`upstream` (the side that answers), `authority` (certificates), `record` (what is kept).
"""
