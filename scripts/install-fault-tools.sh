#!/usr/bin/env bash
# Installs what tests of faults and of systemd units need; without it they are skipped (in CI: they fail).
set -euo pipefail
"$(dirname "$0")/install-packages.sh" "PgBouncer, wrong clocks and systemd units" \
  "pgbouncer faketime systemd-analyze systemd-socket-activate" "pgbouncer faketime systemd" || true
