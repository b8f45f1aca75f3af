#!/usr/bin/env bash
# Brings xterm.js and its addon that fits it to its place, at fixed versions, into the package. They are kept
# in the repository, so that nothing is fetched to build or use Moat; tests/web/test_page_files.py knows what
# they are. To update: change the versions here, run this, and change the sums there.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$PWD/src/moat/web/page/vendor/xterm
packages=(@xterm/xterm@6.0.0 @xterm/addon-fit@0.11.0)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "${packages[@]}" >/dev/null
for each in *.tgz; do
  mkdir "${each%.tgz}" && tar xzf "$each" --strip-components=1 -C "${each%.tgz}"
done

mkdir -p "$target"
# Without the last line, which names a file for debuggers that isn't kept.
sed '/^\/\/# sourceMappingURL=/d' xterm-xterm-*/lib/xterm.mjs >"$target/xterm.mjs"
sed '/^\/\/# sourceMappingURL=/d' xterm-addon-fit-*/lib/addon-fit.mjs >"$target/addon-fit.mjs"
cp xterm-xterm-*/css/xterm.css "$target/xterm.css"
{
  printf '%s\n\n' "${packages[@]/%/, under this license:}" | head -n 1
  cat xterm-xterm-*/LICENSE
  printf '\n%s\n\n' "${packages[1]}, under this license:"
  cat xterm-addon-fit-*/LICENSE
} >"$target/LICENSE.txt"
chmod 644 "$target"/*
