"""A spare: a process that has loaded a supervisor's modules, and from which supervisors are forked.

Loading takes two thirds of a start, so the supervisor of a first run leaves a spare behind
(`supervisor.spare_launch`). It listens in the store (`server`) and is forked for each supervisor that
a client asks for. It ends after ten minutes without one, when its socket is removed, or when a file that
it has loaded is another now (`files`).

Nothing depends on it. It may be killed at any moment: whoever finds none starts a supervisor as a new
process. Until it is forked it knows of no run, no project, no credential and no environment. There is
one for each standing (`platform.standing`), with a lock that it holds while it lives
(`supervisor.spare_claim`).
"""
