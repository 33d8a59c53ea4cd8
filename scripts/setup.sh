#!/usr/bin/env bash
# Creates .venv with the project and its tools. PYTHON names the interpreter; by default it is
# the first one that is new enough.
set -euo pipefail
cd "$(dirname "$0")/.."

# One at a time: several make targets may run at once.
if command -v flock >/dev/null; then
  exec 9<scripts
  flock 9
fi

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    if new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: needs Python 3.11 or newer; ${PYTHON:-python3} is" \
    "$("${PYTHON:-python3}" --version 2>/dev/null || echo missing)." \
    "Choose another one: make setup PYTHON=/path/to/python3.11" >&2
  return 1
}

if ! new_enough .venv/bin/python; then
  python=$(find_python)
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "setup: $python has no venv module (on Debian: apt-get install python3-venv)" >&2
    exit 1
  fi
  echo "setup: creating .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi

echo "setup: installing into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --editable ./stripe_sandbox --editable '.[dev]'
