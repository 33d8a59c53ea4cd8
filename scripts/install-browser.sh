#!/usr/bin/env bash
# Installs the browser for the browser tests; without it they are skipped (in CI: they fail).
set -euo pipefail
"$(dirname "$0")/install-packages.sh" "the browser" "chromium chromedriver" \
  "chromium chromium-driver fonts-dejavu-core" || true
