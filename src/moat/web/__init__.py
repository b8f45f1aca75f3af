"""`moat web`: the runs, their terminals and their networks on a page in the user's browser.

The server is one more client of the supervisors, as long as somebody leaves it running. `page` is what
the browser gets, and is the same for everybody. Everything else goes over WebSockets, on which the page
shows a secret first: `access` decides about that, and about which page may connect. `runs` is the list
of all runs with their questions, `terminal` one viewer of a session, and `traffic` the record of one
run's network. `server` leads each connection to one of them, and `main` is the process.

No connection makes another wait: each has its own window, and what a browser doesn't take is skipped.
"""
