#!/usr/bin/env bash
# Makes .venv/installed: a virtual environment with this project as its users have it, from a wheel.
# There the path of a request is compiled; the tests that drive `moat` from outside use it.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/installed.log
: >"$log"

source scripts/logged.sh

scripts/compiler.sh

echo "installing a wheel of this tree into .venv/installed (log: $log)"
logged .venv/bin/python -m venv .venv/installed
pip=(.venv/installed/bin/python -m pip --disable-pip-version-check install --quiet)
logged "${pip[@]}" --require-hashes --requirement requirements/lock.txt
logged "${pip[@]}" --no-deps --no-build-isolation --force-reinstall .
touch .venv/installed/ready
