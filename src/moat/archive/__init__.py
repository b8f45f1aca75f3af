"""A run that has ended, as one file for another store.

`members` says what is in such a file, and `checks` what each member may say: both do no I/O. `writing`
makes the file, `zip_file` opens one of a stranger's, and `reading` makes a run of it, once all of it was
checked.
"""
