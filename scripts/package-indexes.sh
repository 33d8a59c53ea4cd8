# shellcheck shell=bash
# Source this: local_indexes lists the folders in which this machine's pip looks for packages, for
# installs within a chroot or a container; usually there are none.
local_indexes() {
  python3 -m pip config list 2>/dev/null | grep -o 'file://[^ '\'']*' |
    sed 's#^file://##; s#/simple/*$##' | sort -u | while read -r folder; do
      [ ! -d "$folder" ] || echo "$folder"
    done
}
