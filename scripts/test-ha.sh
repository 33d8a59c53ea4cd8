#!/usr/bin/env bash
# Runs tests/ha: several hosts on this machine, each a network namespace. They, their processes and
# mounts live in namespaces of this run alone, and end with it in any case.
set -euo pipefail
cd "$(dirname "$0")/.."

refuse() {
  echo "make test-ha: $1" >&2
  exit 1
}

[ "$(uname)" = Linux ] || refuse "needs Linux, for network namespaces"
[ "$(id -u)" = 0 ] || refuse "needs root, for network namespaces"
scripts/install-packages.sh "high availability" "etcd haproxy pgbouncer nft ip" \
  "etcd-server haproxy pgbouncer nftables iproute2" || exit 1
unshare --net true 2>/dev/null || refuse "this machine does not allow network namespaces"

state=/var/lib/mpanel-billing # the accounts of the database servers cannot enter every checkout
mkdir -p "$state"
exec 9>"$state/ha.lock"
flock -n 9 || refuse "another run is in progress"
rm -rf "$state"/ha-?????? # of runs that were killed
folder=$(mktemp -d "$state/ha-XXXXXX")
[ -z "${HA_LOGS:-}" ] || HA_LOGS=$(realpath -m "$HA_LOGS")
finish() {
  if [ -n "${HA_LOGS:-}" ]; then
    (cd "$folder" && mkdir -p "$HA_LOGS" && cp --parents */*.log "$HA_LOGS") || true
  fi
  rm -rf "$folder"
}
trap finish EXIT
chmod 755 "$folder"

.venv/bin/python -m venv "$folder/patroni"
"$folder/patroni/bin/pip" install -q --disable-pip-version-check --require-hashes \
  -r deploy/ha/requirements.txt

# bash is process 1 of the namespace, and reaps what loses its parent; if it dies, all others do
HA_FOLDER=$folder setpriv --pdeathsig KILL \
  unshare --mount --net --pid --fork --kill-child --mount-proc \
  bash -c 'ip link set lo up && mount -t tmpfs none /run && .venv/bin/pytest -x -rs -o faulthandler_timeout=900 tests/ha "$@"; exit $?' \
  bash "$@" 9>&-
