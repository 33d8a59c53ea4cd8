#!/usr/bin/env bash
# Runs tests/api_clients: clients that others' programs generate from /openapi.json, installed for this
# run from npm and PyPI. CLIENTS_FOLDER=... keeps them there. Skips without Node (in CI: fails).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! scripts/install-packages.sh "The API clients" "node npm" "nodejs npm"; then
  exit "$([ -n "${NO_SKIPS:-}" ] && echo 1 || echo 0)"
fi
.venv/bin/pytest -rs tests/api_clients "$@"
