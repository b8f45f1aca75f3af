"""Providers: what Moat knows of the services whose credentials it uses, as data.

    data/*.yaml, $MOAT_HOME/providers/*.yaml ──▶ catalog ──▶ Provider ──▶ granting ──▶ spec.Grant

A file for each provider says how a credential is obtained (`recipe`), how requests get it, and what
programs in the sandbox need to see before they use it (`provider`). `fields` is the table that checks
the files. `granting` makes a run's grant of a provider, with placeholders of its own (`placeholders`);
`collisions` refuses grants that nothing could tell apart. No secret is ever here.
"""
