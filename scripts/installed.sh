#!/usr/bin/env bash
# Makes .venv/installed: a virtual environment with this project as users have it, installed from a wheel in
# which the path of a request is compiled. The end-to-end tests and the benchmarks use it.
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
