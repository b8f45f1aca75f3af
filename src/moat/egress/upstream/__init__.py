"""Upstream: connections to servers.

- The *pool* keeps connections for the next request; the *connector* makes new ones.
- The *dialer* resolves a name on the host (*resolver*), checks every address (*private addresses*,
  *kernel routes*) and connects to one that it has checked (*happy eyeballs*).
- A *parent proxy* is the host's own, where there is one.

A name is never dialled, only an address that was checked; a private one only where `network.private`
names it. The counterpart is `ingress`.
"""
