#!/usr/bin/env bash
# Puts a bare Debian 12 with nginx into a temporary folder, and runs tests/install in it: what is
# committed, and the older release to upgrade from. As root on Debian; processes and mounts end with
# the namespaces in which they are.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/package-indexes.sh

if [ "${1:-}" != --inside ]; then
  scripts/install-packages.sh "an installation" "debootstrap unshare git" "debootstrap util-linux git"
  folder=$(mktemp -d)
  trap 'rm -rf --one-file-system "$folder"' EXIT
  MACHINE=$folder/debian unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    scripts/test-install.sh --inside "$@"
  exit
fi
shift

older=$(cat tests/faults/BASELINE)
echo "upgrading from $older to $(git rev-parse --short HEAD)"
[ -z "$(git status --porcelain)" ] || echo "what is not committed is left out"

scripts/bare-debian.sh "$MACHINE" nginx-light,procps
mount -t proc proc "$MACHINE/proc"
mount --rbind /dev "$MACHINE/dev"
for index in $(local_indexes); do
  mkdir -p "$MACHINE$index"
  mount --bind --read-only "$index" "$MACHINE$index"
done

repository=$MACHINE/srv/tenant-billing.git
git init --quiet --bare --initial-branch=main "$repository"
git push --quiet "$repository" HEAD:refs/heads/present HEAD:refs/heads/main "$older^{commit}:refs/heads/older"

.venv/bin/pytest -rs -o faulthandler_timeout=0 tests/install "$@"
