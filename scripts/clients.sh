#!/usr/bin/env bash
# Installs the programs from PyPI that tests/e2e/clients runs into .venv/clients, at the versions of their lock.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/clients.log
: >"$log"

source scripts/logged.sh

echo "installing programs for the tests into .venv/clients (log: $log)"
logged .venv/bin/python -m venv .venv/clients
logged .venv/clients/bin/python -m pip --disable-pip-version-check install --quiet \
  --require-hashes --requirement requirements/clients.txt
touch .venv/clients/ready
