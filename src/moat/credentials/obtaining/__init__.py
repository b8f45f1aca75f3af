"""The ways in which a credential comes to the vault.

A `recipe` says which of them a provider has: variables, the login of its own program, OAuth with a
browser or a device code, typing, standard input. `obtain` tries them, and `validation` asks the provider
whether it accepts the result. The modules whose names are a way's do that way alone; `tokens` and
`pointers` are pure.
"""
