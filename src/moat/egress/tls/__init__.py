"""TLS: certificates for the sandbox's side, trust for the servers' side.

- The run's own *certificate authority*, which only its sandbox trusts.
- *Leaf certificates*, one for each server that the sandbox talks to.
- The *ClientHello*, read before the handshake to learn which server is meant, and the *alerts* that
  refuse one.
- *Trust*: which authorities the proxy believes upstream.
- A *layer*: a socket whose bytes travel inside TLS.

The authority's key never enters the sandbox, and a server's certificate is always verified.
"""
