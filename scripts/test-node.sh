#!/usr/bin/env bash
# Runs tests/node with packages from npm, installed for this run. Skips without Node (in CI: fails).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! scripts/install-packages.sh "Node" "node npm" "nodejs npm"; then
  exit "$([ -n "${NO_SKIPS:-}" ] && echo 1 || echo 0)"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --no-fund --no-audit --loglevel=error standardwebhooks@1 oidc-provider@9
NODE_FOLDER="$folder" .venv/bin/pytest -rs tests/node "$@"
