#!/usr/bin/env bash
# Makes the root file system that container tests use as their image: Debian, with a few programs.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/images.log
: >"$log"

source scripts/logged.sh
scripts/programs.sh mmdebstrap
source /etc/os-release

echo "making a Debian image of the tests in .venv/images (log: $log)"
mkdir -p .venv/images
without=()
for each in share/doc share/locale share/man share/zoneinfo; do
  without+=(--customize-hook="rm -rf \"\$1/usr/$each\"")
done
# Packages are unpacked and not configured, which takes a third of the time.
logged mmdebstrap --variant=extract "${without[@]}" \
  --include=base-files,base-passwd,bash,dash,coreutils,findutils,grep,libc-bin,procps,sed,util-linux \
  --include=python3-minimal,libpython3-stdlib "$VERSION_CODENAME" .venv/images/base.tar
touch .venv/images/ready
