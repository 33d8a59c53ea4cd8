# shellcheck shell=bash
# Source this: find_python prints the first interpreter that is new enough, or PYTHON if it is set.

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate target=$1
  for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    new_enough "$candidate" || continue
    if ! "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$target: $candidate has no venv module (on Debian: apt-get install python3-venv)" >&2
      return 1
    fi
    echo "$candidate"
    return
  done
  echo "$target: needs Python 3.11 or newer; ${PYTHON:-python3} is" \
    "$("${PYTHON:-python3}" --version 2>/dev/null || echo missing)." \
    "Choose another one: make $target PYTHON=/path/to/python3.11" >&2
  return 1
}
