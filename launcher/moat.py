#!python
"""The command `moat` where the launcher (moat.c) can't be compiled, or the tree itself runs."""

from moat.__main__ import main

main()
