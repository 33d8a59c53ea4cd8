#!/usr/bin/env bash
# install-packages.sh WHAT PROGRAMS PACKAGES: installs Debian packages when a program is missing.
# Succeeds when all programs are there in the end; else says why the tests of WHAT are skipped.
set -euo pipefail
what=$1 programs=$2 packages=$3

all_there() {
  local program
  for program in $programs; do
    command -v "$program" >/dev/null || return 1
  done
}

skip() {
  echo "SKIPPED: the tests of $what ($programs missing; $1)" >&2
  exit 1
}

if all_there; then exit 0; fi
[ -f /etc/debian_version ] || skip "only on Debian are they installed by this script"
[ "$(id -u)" = 0 ] || skip "as root: apt-get install $packages"

# One at a time: apt-get fails if another one runs.
exec 9</var/lib/dpkg
flock 9
if all_there; then exit 0; fi

echo "installing $packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages; } >/dev/null; then
  skip "apt-get failed"
fi
all_there || skip "apt-get did not bring them"
