#!/usr/bin/env bash
# bare-debian.sh FOLDER [PACKAGES]: puts a minimal Debian 12 into a folder, as root, with further
# packages (separated by commas) and with this machine's certificates and its set-up of apt, pip and npm.
set -euo pipefail
folder=$1 packages=ca-certificates${2:+,$2}

# the mirror that this machine uses
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
  sed -n 's/^URIs: *//p; s/^deb [^h]*\(http[^ ]*\) .*/\1/p' | head -1) || true
debootstrap --variant=minbase --include="$packages" bookworm "$folder" ${mirror:+"$mirror"} \
  >"$folder.log" 2>&1 || {
  tail -5 "$folder.log" >&2
  exit 1
}
rm "$folder.log"

put() {
  local path
  for path in "$@"; do
    [ ! -e "$path" ] || cp --recursive --dereference --parents "$path" "$folder"
  done
}
put /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt \
  /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/apt/sources.list.d /usr/share/keyrings \
  /etc/pip.conf /etc/npmrc /etc/gitconfig
for path in .config/pip/pip.conf .npmrc .netrc; do
  [ ! -e "$HOME/$path" ] || install -D -m 0600 "$HOME/$path" "$folder/root/$path"
done
# not those of the images that this machine was made from: they keep no packages
rm -f "$folder"/etc/apt/apt.conf.d/docker-* "$folder"/etc/apt/sources.list.d/*disabled*
if [ -e /etc/apt/sources.list.d/debian.sources ]; then : >"$folder/etc/apt/sources.list"; fi
