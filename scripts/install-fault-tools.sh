#!/usr/bin/env bash
# Installs what some fault tests need; without it they are skipped (in CI: they fail).
set -euo pipefail
"$(dirname "$0")/install-packages.sh" "PgBouncer and of wrong clocks" "pgbouncer faketime" \
  "pgbouncer faketime" || true
