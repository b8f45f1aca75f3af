"""`moat top`: all runs in one table that lives, from which one attaches and to which one comes back.

`client.watch.glances` watches the store in a thread of its own and says what there is to show. `cockpit`
is the state of the table and what keys do to it, and `table` draws it; both are pure. `terminal` paints
lines, and `app` brings them together.
"""
