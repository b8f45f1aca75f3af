"""The user's toolchains: what PATH leads to outside the system's folders, and nothing secret.

- `find` follows each folder of PATH to what its programs need. `layouts` knows how version managers and
  installations are laid out, `versions` which version of a tool the user has chosen.
- `search` looks through what was found for what no sandbox may see, by `secret_names`.
- `show` mounts the rest, read-only and at the same absolute paths, because shebangs, virtual
  environments and shims name those.
"""
