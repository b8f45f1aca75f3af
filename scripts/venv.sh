#!/usr/bin/env bash
# Makes .venv: a virtual environment with the locked dependencies and this project, editable.
# The Makefile runs it when the lock or pyproject.toml has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/setup.log
recent='import sys; sys.exit(sys.version_info < (3, 11))'

find_python() {
  local each
  for each in python3.13 python3.12 python3.11 python3; do
    if command -v "$each" >/dev/null && "$each" -c "$recent" 2>/dev/null; then
      command -v "$each"
      return
    fi
  done
  echo "moat: no Python 3.11 or newer on PATH. Install: sudo apt-get install python3.11 python3.11-venv" >&2
  return 1
}

source scripts/logged.sh

make_environment() {
  local python
  python=$(find_python)
  # Debian and Ubuntu have a part of the standard library in a separate package.
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    scripts/programs.sh "ensurepip:python$version-venv"
  fi
  echo "making .venv with $("$python" --version)"
  logged "$python" -m venv .venv
}

mkdir -p .venv
.venv/bin/python -c "$recent" 2>/dev/null || make_environment
.venv/bin/python -m pip --version >/dev/null 2>&1 || logged .venv/bin/python -m ensurepip

echo "installing the locked dependencies into .venv (log: $log)"
pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet)
logged "${pip[@]}" --require-hashes --requirement requirements/lock.txt
# The build tools came with the lock, so building the project fetches nothing.
logged "${pip[@]}" --no-deps --no-build-isolation --editable .
touch .venv/ready
