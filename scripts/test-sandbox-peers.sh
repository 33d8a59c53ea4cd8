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
.venv/bin/pytest -rs -o faulthandler_timeout=1800 tests/sandbox_peers "$@"
