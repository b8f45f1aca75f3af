#!/usr/bin/env bash
# Makes the root file systems that container tests use as their images: Debian with a few programs, Debian with
# apt and pip, to which dependencies are added, and Debian with PostgreSQL and Redis.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/images.log
: >"$log"

source scripts/logged.sh
scripts/programs.sh mmdebstrap
source /etc/os-release

echo "making Debian images of the tests in .venv/images (log: $log)"
mkdir -p .venv/images
without=()
for each in share/doc share/locale share/man share/zoneinfo; do
  without+=(--customize-hook="rm -rf \"\$1/usr/$each\"")
done
# Packages are unpacked and not configured, which takes a third of the time.
logged mmdebstrap --variant=extract "${without[@]}" \
  --include=base-files,base-passwd,bash,dash,coreutils,findutils,grep,libc-bin,procps,sed,util-linux \
  --include=python3-minimal,libpython3-stdlib "$VERSION_CODENAME" .venv/images/base.tar
logged mmdebstrap --variant=apt "${without[@]}" \
  --include=ca-certificates,python3,python3-pip,python3-venv "$VERSION_CODENAME" .venv/images/apt.tar
# Two servers, and the entrypoint with which tests make of them what official images are. Nothing compiles queries.
hooks=()
for each in \
  'rm -rf "$1"/usr/share/{doc,i18n,locale,man} "$1"/usr/lib/*/lib{LLVM,z3}* "$1"/usr/lib/postgresql/*/lib/bitcode' \
  'rm "$1"/usr/lib/postgresql/*/lib/llvmjit.so' \
  'printf "%s:x:%s:%s::/:/bin/sh\n" postgres 999 999 redis 998 998 >>"$1/etc/passwd"' \
  'printf "%s:x:%s:\n" postgres 999 redis 998 >>"$1/etc/group"' \
  'mkdir "$1/data" && install scripts/service_entrypoint.sh "$1/entrypoint.sh"'; do
  hooks+=(--extract-hook="exec bash -c '$each' - \"\$1\"")
done
logged mmdebstrap --variant=extract "${hooks[@]}" \
  --include=base-files,base-passwd,bash,dash,coreutils,grep,libc-bin,sed,util-linux,postgresql,redis-server \
  "$VERSION_CODENAME" .venv/images/services.tar
touch .venv/images/ready
