#!/usr/bin/env bash
# Installs the programs that are missing, or says what to install if that takes rights that we lack.
#
#   scripts/programs.sh COMMAND[:PACKAGE]...
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/setup.log
missing=() packages=()
for each in "$@"; do
  if ! command -v "${each%%:*}" >/dev/null; then
    missing+=("${each%%:*}")
    packages+=("${each##*:}")
  fi
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

give_up() {
  echo "moat: ${missing[*]} missing, and $1. Install: sudo apt-get install ${packages[*]}" \
    "(or what your system calls them), then try again" >&2
  exit 1
}

command -v apt-get >/dev/null || give_up "there is no apt-get"
as_root=()
if [[ $EUID -ne 0 ]]; then
  sudo -n true 2>/dev/null || give_up "that takes root, or sudo without a password"
  as_root=(sudo -n)
fi
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" \
    </dev/null >>"$log" 2>&1
}

echo "installing ${packages[*]} (log: $log)"
mkdir -p "${log%/*}"
install=(install --yes --no-install-recommends "${packages[@]}")
# The package lists are updated only if they have to be: those of a fresh machine are empty or old.
apt_get "${install[@]}" || { apt_get update && apt_get "${install[@]}"; } || {
  tail -n 5 "$log" >&2
  give_up "apt-get could not install them"
}
