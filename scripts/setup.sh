#!/usr/bin/env bash
# Creates .venv with the project and its tools. PYTHON names the interpreter; by default it is
# the first one that is new enough.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/find-python.sh

# One at a time: several make targets may run at once.
if command -v flock >/dev/null; then
  exec 9<scripts
  flock 9
fi

if [ -L .venv ]; then
  echo "setup: this checkout is installed for production (make install). Develop in another one," \
    "or remove that with: make clean" >&2
  exit 1
fi

if ! new_enough .venv/bin/python; then
  python=$(find_python setup)
  echo "setup: creating .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi

echo "setup: installing into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --editable ./stripe_sandbox --editable '.[dev]'
