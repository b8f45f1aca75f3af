"""Credentials in requests: which grant a request uses, and how it comes in.

    exchange ── request ──▶ Authorizer ── which grants? ──▶ choice.Grants
                                │       ◀── secrets ─────── CredentialSource (the supervisor)
                                └── copy with the secret (placing) ──▶ exchange

`choice` and `placing` are pure. The client's own request stays as it is, for the record and the policy;
the secret is only in the copy that goes upstream, over TLS that was verified.
"""
