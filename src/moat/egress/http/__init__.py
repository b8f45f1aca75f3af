"""HTTP: one exchange between a client in the sandbox and a server, whichever version each side speaks.

    h1.server | h2.server ─▶ Exchange ─▶ h1.client | h2.client
         origin_check           │ ▲
                     Gateway ◀──┘ └── decision, credentials, connection

- `messages` and `fields` are the vocabulary that both versions share.
- `interfaces` has the protocols by which an exchange and its surroundings know each other.
- An `Exchange` (`exchange`) is the state of one request and its response. It decides no rule and opens
  no connection: its `Gateway` does.
- `h1` and `h2` are the two versions: a `server` for the side that asked, a `client` for the side that
  answers. Neither knows of the other.
- `origin_check` lets a request go only to the server that its connection leads to, `method_override`
  finds what else a server may take a request for, `bad_request` and `observer` prepare what is recorded,
  `secret_masking` keeps credentials of the host's proxy out of its answers.

Everything here is pure, but the connections: `client`, `server` and `connection` of each version, and
`h1.hangup`.
"""
