#!/usr/bin/env bash
# Creates .tools with what releases need (requirements/release.txt), apart from .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/find-python.sh

python=$(find_python tools)
echo "tools: installing into .tools"
"$python" -m venv --clear .tools
.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
  -r requirements/release.txt
