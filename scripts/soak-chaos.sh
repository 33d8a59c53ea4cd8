#!/usr/bin/env bash
# Runs tests/chaos in namespaces of its own, so that its mounts and processes end with it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
  echo "make soak-chaos needs root on Linux: it mounts disks to fill" >&2
  exit 1
fi
scripts/install-packages.sh "PgBouncer and of wrong clocks" "pgbouncer faketime" "pgbouncer faketime"
exec unshare --mount --pid --fork --kill-child --mount-proc .venv/bin/python -m tests.chaos "$@"
