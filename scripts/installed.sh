#!/usr/bin/env bash
# Makes .venv/installed: a virtual environment with this project as its users have it, from a wheel.
# There the path of a request is compiled; the tests that drive `moat` from outside use it.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/installed.log
: >"$log"

source scripts/logged.sh

# What the compiler needs, which Debian and Ubuntu keep in a package of its own.
if ! .venv/bin/python -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
  version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  scripts/programs.sh "Python.h:python$version-dev"
fi

echo "installing a wheel of this tree into .venv/installed (log: $log)"
logged .venv/bin/python -m venv .venv/installed
pip=(.venv/installed/bin/python -m pip --disable-pip-version-check install --quiet)
logged "${pip[@]}" --require-hashes --requirement requirements/lock.txt
logged "${pip[@]}" --no-deps --no-build-isolation --force-reinstall .
touch .venv/installed/ready
