#!/usr/bin/env bash
# The programs of some fault tests. Without them those are skipped, which only CI forbids.
set -euo pipefail
"$(dirname "$0")/install-packages.sh" "PgBouncer and of wrong clocks" "pgbouncer faketime" \
  "pgbouncer faketime" || true
