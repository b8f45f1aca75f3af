#!/usr/bin/env bash
# Imports every module and runs tests under each supported Python that this machine has.
#
#   scripts/matrix.sh         the pure tests
#   scripts/matrix.sh unit    all of `make unit`
#
# Looks on PATH and among the versions of pyenv. Each Python has an environment in .venv/matrix and a line
# in the result. A Python that isn't there is reported and is no failure. The pure tests of all run at once.
set -euo pipefail
cd "$(dirname "$0")/.."

tests=${1:-pure}
supported=(3.11 3.12 3.13 3.14)
import_all='
import importlib, pkgutil, moat
for module in pkgutil.walk_packages(moat.__path__, "moat."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
'

find_python() { # VERSION
  local each
  for each in "python$1" "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$1."*/"bin/python$1"; do
    # pyenv has a program of that name on PATH even for a version that is not switched on.
    if "$each" -c pass 2>/dev/null; then
      echo "$each"
      return
    fi
  done
  return 1
}

prepare() { # VENV PYTHON
  if ! cmp --silent requirements/test.txt "$1/installed.txt"; then
    rm -rf "$1"
    "$2" -m venv "$1"
    local pip=("$1/bin/python" -m pip --disable-pip-version-check install --quiet)
    "${pip[@]}" --require-hashes --requirement requirements/test.txt
    "${pip[@]}" --no-deps --no-build-isolation --editable .
    cp requirements/test.txt "$1/installed.txt"
  fi
}

test_under() { # VENV PYTHON
  prepare "$1" "$2"
  "$1/bin/python" -W error -c "$import_all"
  local pytest=("$1/bin/python" -m pytest -q -p no:cacheprovider)
  if [[ $tests == unit ]]; then
    "${pytest[@]}" -n "$(nproc)" --only measured
    "${pytest[@]}" -n "$(nproc)" --only unmeasured
  else
    "${pytest[@]}" --only pure
  fi
}

mkdir -p .venv/matrix
status=0
report() { # VERSION PID
  local log=.venv/matrix/$1.log
  if wait "$2"; then
    echo "Python $1: every module imported, $(tail -n 1 "$log")"
  else
    tail -n 30 "$log"
    echo "Python $1: failed (log: $log)"
    status=1
  fi
}

running=()
for version in "${supported[@]}"; do
  if ! python=$(find_python "$version"); then
    echo "Python $version: not found, so not tested"
    continue
  fi
  test_under ".venv/matrix/$version" "$python" >".venv/matrix/$version.log" 2>&1 &
  if [[ $tests == unit ]]; then # it uses all processors by itself
    report "$version" $!
  else
    running+=("$version $!")
  fi
done
for each in "${running[@]}"; do
  report $each
done
exit $status
