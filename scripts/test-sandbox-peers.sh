#!/usr/bin/env bash
# Runs tests/sandbox_peers: clients of Stripe that others wrote, installed for this run from npm and
# PyPI. PEERS_FOLDER=... keeps them there. Skips without Node, or what a registry does not give.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! scripts/install-packages.sh "Stripe's clients" "node npm" "nodejs npm"; then
  exit "$([ -n "${NO_SKIPS:-}" ] && echo 1 || echo 0)"
fi

if [ -z "${PEERS_FOLDER:-}" ]; then
  PEERS_FOLDER=$(mktemp -d)
  trap 'rm -rf "$PEERS_FOLDER"' EXIT
fi
export PEERS_FOLDER
# dj-stripe reads the twenty lives in ten minutes of a slow machine: the limit is for what hangs.
.venv/bin/pytest -rs -o faulthandler_timeout=5400 tests/sandbox_peers "$@"
