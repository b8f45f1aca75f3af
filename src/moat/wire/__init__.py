"""The protocol between client and supervisor, and nothing of how they act on it.

The supervisor listens on a unix socket in the run's folder and speaks HTTP/1.1 (`http`), so that
`curl --unix-socket` can ask it things. `GET /v1/attach` upgrades the connection to `frames`, whose
payloads are `messages`; `tty` is a terminal's attributes in one of them. Both ends ignore what they do
not know, so that an old supervisor and a new client work together.
"""
