"""The budget of a run: counts of what it uses up over its network, and their limits.

    prices ◀── spending (pure: counts and limits) ◀── live_budget (questions, changed limits)

An exchange is charged before it goes upstream. The counts are kept in the traffic database, so they
outlive the supervisor.
"""
