"""Egress: the only way out of a sandbox. Capture, policy, interception, record.

    sandbox ──▶ ingress ──▶ http ──▶ upstream ──▶ server
                   │         │ ▲
                  dns   policy ┘ └ traffic

- `ingress` takes what the sandbox sends and finds out what it is; `dns` answers its questions.
- `http` reads requests, and relays those that may pass.
- `policy` decides, `traffic` records what was decided and what came of it.
- `upstream` makes connections to servers, at addresses that it has checked.
- `tls` has the certificates for both sides.

`gateway` puts them together for one run, and nothing here imports it. A room imports only rooms below
it, as the contract in pyproject.toml orders them. Nothing reaches a server but by `policy`, and nothing
passes while it can't be recorded.
"""
