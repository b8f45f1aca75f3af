"""`moat grant list`."""

from __future__ import annotations

import sys
import time

from moat.cli.grant_text import as_dict, listing
from moat.cli.output import print_json_array
from moat.credentials.vault import Vault
from moat.paths import moat_home


def carry_out(*, as_json: bool = False) -> int:
    entries, damaged = Vault(moat_home()).survey()
    if as_json:
        print_json_array(as_dict(each) for each in entries)
    else:
        sys.stdout.write(listing(entries, time.time()))
    for each in damaged:
        sys.stderr.write(f"moat: {each.path} is damaged: {each.reason}\n")
    return 1 if damaged else 0
