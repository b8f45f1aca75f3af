#!/usr/bin/env bash
# Builds the witness that tests/e2e/test_witness.py talks to, litewitness, into .venv/witness. Go's checksum
# database has the hashes of its sources; the Go toolchain comes from PyPI, as what systems have is too old.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/witness.log
: >"$log"
version=v0.9.0

source scripts/logged.sh

echo "building litewitness $version into .venv/witness (log: $log)"
build=$(mktemp -d)
# Go writes its module cache without the right to delete it.
trap 'chmod -R u+w "$build"; rm -rf "$build"' EXIT
logged .venv/bin/python -m venv "$build/go"
logged "$build/go/bin/python" -m pip --disable-pip-version-check install --quiet \
  --require-hashes --requirement requirements/witness.txt
mkdir -p .venv/witness
logged env GOTOOLCHAIN=local GOFLAGS=-p=2 GOPATH="$build/path" GOCACHE="$build/cache" CGO_ENABLED=0 \
  GOBIN="$PWD/.venv/witness" "$build/go/bin/go" install \
  "filippo.io/torchwood/cmd/litewitness@$version" "filippo.io/torchwood/cmd/witnessctl@$version"
touch .venv/witness/ready
