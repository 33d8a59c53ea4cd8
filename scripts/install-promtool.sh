#!/usr/bin/env bash
# Puts Prometheus' promtool into .venv/bin, unless it is there: from Debian's package, unpacked and not
# installed, because installing it starts a server.
set -euo pipefail
cd "$(dirname "$0")/.."
program=.venv/bin/promtool

if [ -x "$program" ]; then exit 0; fi
if found=$(command -v promtool); then
  ln -sf "$found" "$program"
  exit 0
fi

fail() {
  echo "promtool is missing, and $1: install Prometheus, so that promtool is on PATH" >&2
  exit 1
}

[ -f /etc/debian_version ] || fail "this script only finds it on Debian"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
download() { apt-get -qq -o APT::Sandbox::User=root download prometheus; }
if ! download 2>/dev/null; then
  [ "$(id -u)" = 0 ] || fail "apt-get download prometheus fails (its lists are old; root can update them)"
  apt-get -qq update
  download || fail "apt-get download prometheus fails"
fi
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
install -m 755 usr/bin/promtool "$OLDPWD/$program"
