#!/usr/bin/env bash
# Runs tests/pm2 with PM2 from npm, installed for this run. Skips without Node (in CI: fails).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! scripts/install-packages.sh "PM2" "node npm" "nodejs npm"; then
  exit "$([ -n "${NO_SKIPS:-}" ] && echo 1 || echo 0)"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --no-fund --no-audit --loglevel=error pm2@7
PM2="$folder/node_modules/.bin/pm2" .venv/bin/pytest -rs tests/pm2 "$@"
