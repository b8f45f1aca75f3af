#!/usr/bin/env bash
# Installs Python's headers, which the compiler needs and Debian and Ubuntu have in a separate package.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! .venv/bin/python -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
  version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  scripts/programs.sh "Python.h:python$version-dev"
fi
