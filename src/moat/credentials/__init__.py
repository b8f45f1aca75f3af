"""The vault: the user's credentials, encrypted on this machine, and how they are obtained.

`credential` says what a credential is, and is pure. `vault` keeps each in a file of its own, which
`entry_file` describes and `sealing` encrypts; the key lies where `key_store` puts it. The commands of
`moat.cli` fill the vault. A run's supervisor alone takes credentials out of it for use, and only those
that the run was granted.
"""
