"""What a repository says of itself, made into the `agent.yaml` that its runs need.

    files of the repository ──▶ reading ──▶ detectors ──▶ Finding ──▶ proposal ──▶ merging ──▶ agent.yaml

- `reading` opens the files that detectors know, bounded and without following links; only it does I/O.
- `detectors` is the table of those files. `languages`, `locks`, `containers`, `devcontainer` and
  `pipelines` read one file each: text in, findings out. Nothing of a repository is executed.
- `proposal` makes lines of the findings: those that hold, and suggestions for the user to decide.
- `merging` puts lines into a file without changing what is in it.

A repository may be hostile. What becomes a line has passed the check of its field, is printable, and
names the file that says it; the user sees it before it is written, and agrees to it before it holds.
"""
