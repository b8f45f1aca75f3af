"""The sandbox's only way out: capture, policy, interception, record.

    arrivals ─▶ server | http2_server ─▶ exchange ─▶ upstreams ─▶ client | http2_client
                                          │  ▲
                                 decisions ┘  └ record

Pure: `policy`, `overriding`, `addresses`, `dns`, `names_table`, `client_hello`, `socks`, `http1`,
`http1_written`, `http2_frames`, `bodies`, `arrival`, `exchange`, `redact`, `usage`. Shells: `capture`
and `arrivals` (what comes from the sandbox), `server` and `http2_server` (the side that asked),
`upstreams`, `client` and `http2_client` (the side that answers), `dial` (which address), `authority`
and `leaves` (certificates), `record` (what is kept). `gateway` holds them together for one run.
"""
