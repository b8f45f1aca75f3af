"""Policy: what a run may reach.

- A *policy* decides about a request by its rules; a *decision* has a verdict and its rule.
- A *denial* is told in one line that says what to change.
- A *route* is decided for a connection, before there is a request on it.
- The *live policy* replaces the policy when a rule is added, and holds *questions* for the user.

Decisions do no I/O and depend on nothing but the policy and what is asked. Where nothing matches, the
mode (`permissive`, `strict`, `ask`) decides; what can't be understood is denied.
"""
