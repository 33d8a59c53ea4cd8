#!/usr/bin/env bash
# install-packages.sh WHAT PROGRAMS PACKAGES: installs Debian packages if a program is missing.
# Fails if a program is still missing, and says why the tests of WHAT are skipped.
set -euo pipefail
what=$1 programs=$2 packages=$3

all_installed() {
  local program
  for program in $programs; do
    command -v "$program" >/dev/null || return 1
  done
}

skip() {
  echo "SKIPPED: the tests of $what ($programs missing; $1)" >&2
  exit 1
}

if all_installed; then exit 0; fi
[ -f /etc/debian_version ] || skip "this script only installs them on Debian"
[ "$(id -u)" = 0 ] || skip "as root: apt-get install $packages"

# One at a time: apt-get fails while another one runs.
exec 9</var/lib/dpkg
flock 9
if all_installed; then exit 0; fi

echo "installing $packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages; } >/dev/null; then
  skip "apt-get failed"
fi
all_installed || skip "apt-get did not install them"
