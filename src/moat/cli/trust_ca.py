"""`moat trust-ca`."""

from __future__ import annotations

import sys

import click

_TEXT = """\
The router speaks HTTPS at the same port, with certificates of an authority of its own. That can certify
names below localhost and no others; its key is in your store, and no run sees it. Moat installs it
nowhere. To trust it, export it first:

  moat router ca > moat-router.pem

Chrome and Chromium:
  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "Moat router" -i moat-router.pem
Firefox: Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import.
Debian and Ubuntu, for curl and other programs:
  sudo cp moat-router.pem /usr/local/share/ca-certificates/moat-router.crt
  sudo update-ca-certificates
Fedora: sudo cp moat-router.pem /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust
One program alone:
  curl --cacert moat-router.pem https://web.my-run.localhost:8080
  NODE_EXTRA_CA_CERTS=moat-router.pem node ...

To take it back, remove it where you have put it, as in:
  certutil -d sql:$HOME/.pki/nssdb -D -n "Moat router"
"""


@click.command("trust-ca")
def command() -> None:
    """Explain how to have browsers and programs trust the router's certificates. It changes nothing."""
    sys.stdout.write(_TEXT)
