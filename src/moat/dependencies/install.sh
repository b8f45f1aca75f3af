#!/bin/sh
# Installs one step of an image's dependencies, in the container of a build. Moat's recipes call it, with
# words that Moat has checked; lists are one word, split at spaces.
#
#   install entry NAME [--version V] [--apt LIST] [--apk LIST] [--pip WORD] [--npm WORD]
#                      [--link PROGRAM=PATH]... [--check COMMAND]...
#   install apt|npm|pip|uv|cargo|go PACKAGE...
#
# The last line of a failure begins with "moat: ".
set -euf

home=/opt/moat
system=/etc/ssl/certs/ca-certificates.crt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "moat: $*" >&2
  exit 1
}

# Caches go where they are deleted, and nothing asks.
export DEBIAN_FRONTEND=noninteractive
export PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_BREAK_SYSTEM_PACKAGES=1
export NPM_CONFIG_CACHE="$scratch/npm" NPM_CONFIG_FUND=false NPM_CONFIG_AUDIT=false NPM_CONFIG_UPDATE_NOTIFIER=false
export UV_CACHE_DIR="$scratch/uv" UV_TOOL_DIR="$home/tools" UV_TOOL_BIN_DIR=/usr/local/bin UV_PYTHON_DOWNLOADS=never
export CARGO_HOME="$scratch/cargo" CARGO_TARGET_DIR="$scratch/target"
export GOPATH="$scratch/go" GOCACHE="$scratch/gocache" GOBIN=/usr/local/bin GOFLAGS=-modcacherw

# Trusts the user's own authorities beside those of the system, which may not have any yet.
trust() {
  [ -f "$home/authorities.pem" ] || return 0
  bundle=$scratch/bundle.pem
  if [ -f "$system" ]; then cat "$system" "$home/authorities.pem"; else cat "$home/authorities.pem"; fi >"$bundle"
  export SSL_CERT_FILE="$bundle" CURL_CA_BUNDLE="$bundle" GIT_SSL_CAINFO="$bundle" PIP_CERT="$bundle"
  export REQUESTS_CA_BUNDLE="$bundle" NODE_EXTRA_CA_CERTS="$bundle" NPM_CONFIG_CAFILE="$bundle" CARGO_HTTP_CAINFO="$bundle"
}

# --- what there is ---

# Sets `found` to the first number that a command prints, its version. Fails if the command does.
look() {
  command -v "$1" >/dev/null && "$@" >"$scratch/printed" 2>&1 </dev/null || return 1
  found=$(sed -n 's/^[^0-9]*\([0-9][0-9.]*\).*/\1/p' "$scratch/printed" | sed -n 1p)
}

# Succeeds if a version is the one that is wanted, or begins with it. Words such as latest are any.
fits() {
  case $wanted in [0-9]*) ;; *) return 0 ;; esac
  case ".$1." in ".$wanted."*) ;; *) return 1 ;; esac
}

# Succeeds if all programs are there, and the first in a version that fits.
all_there() {
  wanted=$version
  while read -r line; do
    # shellcheck disable=SC2086  a command of several words
    look $line && fits "$found" || return 1
    wanted=''
  done <"$checks"
}

# Ends with what there is in place of what was wanted.
not_there() {
  wanted=$version
  while read -r line; do
    # shellcheck disable=SC2086  as above
    look $line || fail "$name was installed, but this fails: $line"
    fits "$found" || fail "$name@$version can't be had here: there is $found. Name that, or a base_image that has it"
    wanted=''
  done <"$checks"
}

# --- packages of the distribution ---

distribution() {
  if command -v apt-get >/dev/null; then
    [ -z "$apt" ] || apt_install "$apt"
  elif command -v apk >/dev/null; then
    # shellcheck disable=SC2086  a list
    [ -z "$apk" ] || apk add --no-cache $apk || fail "apk can't install: $apk"
  elif [ -n "$apt$apk" ]; then
    fail "the base image has neither apt-get nor apk, so $name can't be installed; name another base_image"
  fi
}

apt_install() {
  fetched=yes
  # Without this mode, apt-get goes on without the lists of a server that it can't reach.
  apt-get -q -o APT::Update::Error-Mode=any update || fetched=''
  # shellcheck disable=SC2086  a list
  apt-get -q -o Dpkg::Use-Pty=0 install --yes --no-install-recommends $1 || {
    [ -n "$fetched" ] || fail "package lists couldn't be fetched (is there a network? see the lines above), and apt-get can't install: $1"
    for each in $1; do explain "${each%%=*}" "$each"; done
    fail "apt-get can't install: $1"
  }
  rm -rf /var/lib/apt/lists/*
}

# Ends if a package isn't there, or not in the version, with what there is.
explain() {
  if ! apt-cache show --no-all-versions "$1" >/dev/null 2>&1; then
    shape=$(echo "$1" | sed 's/[0-9][0-9.]*/N/g')
    others=$(apt-cache pkgnames "${1%%[0-9]*}" | while read -r other; do
      [ "$(echo "$other" | sed 's/[0-9][0-9.]*/N/g')" != "$shape" ] || echo "$other"
    done | sort | tr '\n' ' ')
    fail "this distribution has no package $1${others:+; it has $others}"
  elif [ "$1" != "$2" ]; then
    versions=$(apt-cache madison "$1" | cut -d '|' -f 2 | sort -u | tr -d '\n')
    case " $versions " in *" ${2#*=} "*) ;; *) fail "$1@${2#*=} can't be had here: there is$versions" ;; esac
  fi
}

# --- packages of package managers ---

npm_install() {
  # shellcheck disable=SC2086  a list
  npm install --global --prefix /usr/local $1 || {
    for each in $1; do
      plain=${each#@}
      case $plain in *@*) ;; *) continue ;; esac
      package=${each%@*}
      npm view "$each" version --json >"$scratch/view" 2>/dev/null && [ -s "$scratch/view" ] || {
        newest=$(npm view "$package" versions --json 2>/dev/null | grep -o '"[^"]*"' | tr -d '"' | tail -n 8 | tr '\n' ' ')
        fail "npm has no $each${newest:+; its newest versions are $newest}"
      }
    done
    fail "npm can't install: $1"
  }
}

# Installs into a virtual environment of the entry's own.
pip_install_apart() {
  python3 -m venv "$home/$name" || fail "no virtual environment can be made for $name"
  "$home/$name/bin/pip" install "$1" || fail "pip can't install $1: the lines above say what there is"
}

link_programs() {
  mkdir -p /usr/local/bin
  while read -r line; do
    place=${line#*=}
    case $place in /*) ;; *) place=$home/$name/$place ;; esac
    set +f
    for file in $place; do
      [ ! -x "$file" ] || ln -sf "$file" "/usr/local/bin/${line%%=*}"
    done
    set -f
  done <"$links"
}

entry() {
  name=$1 version='' apt='' apk='' pip='' npm=''
  checks=$scratch/checks links=$scratch/links
  : >"$checks" && : >"$links"
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --version) version=$2 ;;
      --apt) apt="$apt $2" ;;
      --apk) apk="$apk $2" ;;
      --pip) pip=$2 ;;
      --npm) npm=$2 ;;
      --link) echo "$2" >>"$links" ;;
      --check) echo "$2" >>"$checks" ;;
      *) fail "unknown word: $1" ;;
    esac
    shift 2
  done
  if all_there; then
    echo "$name: there already"
    return 0
  fi
  apt=${apt# } apk=${apk# }
  distribution
  [ -z "$pip" ] || pip_install_apart "$pip"
  [ -z "$npm" ] || npm_install "$npm"
  link_programs
  all_there || not_there
}

do=$1
shift
trust
case $do in
  entry) entry "$@" ;;
  apt)
    command -v apt-get >/dev/null || fail "the base image has no apt-get, so these can't be installed: $*"
    apt_install "$*"
    ;;
  npm) npm_install "$*" ;;
  pip) python3 -m pip install "$@" || fail "pip can't install $*: the lines above say what there is" ;;
  uv) for each in "$@"; do uv tool install "$each" || fail "uv can't install $each"; done ;;
  cargo)
    for each in "$@"; do
      case $each in
        *@*) cargo install --root /usr/local --locked --version "${each#*@}" "${each%%@*}" || fail "cargo can't install $each" ;;
        *) cargo install --root /usr/local --locked "$each" || fail "cargo can't install $each" ;;
      esac
    done
    ;;
  go) for each in "$@"; do go install "$each" || fail "go can't install $each"; done ;;
  *) fail "unknown step: $do" ;;
esac
