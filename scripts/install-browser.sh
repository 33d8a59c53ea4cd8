#!/usr/bin/env bash
# The browser of the browser tests. Without it they are skipped, which only CI forbids.
set -euo pipefail
"$(dirname "$0")/install-packages.sh" "the browser" "chromium chromedriver" \
  "chromium chromium-driver fonts-dejavu-core" || true
