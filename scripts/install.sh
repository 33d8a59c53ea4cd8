#!/usr/bin/env bash
# install.sh [FOLDER]: installs what production needs, as pinned in requirements/, without pip.
#
# Without FOLDER it goes into a new folder of .venvs, and .venv leads there at the end: an install
# that fails changes nothing, and what runs keeps its files until it is reloaded. The one before is
# kept. WITH=extras adds Redis and tracing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/find-python.sh

case ${WITH:-} in
  "") requirements=requirements/production.txt ;;
  extras) requirements=requirements/extras.txt ;;
  *)
    echo "install: WITH=$WITH is unknown; leave it out, or use WITH=extras" >&2
    exit 1
    ;;
esac
python=$(find_python install)

if command -v flock >/dev/null; then
  exec 9<scripts
  flock 9
fi

if [ $# = 0 ] && [ -d .venv ] && [ ! -L .venv ]; then
  echo "install: .venv is there for development (make setup). Install in another checkout," \
    "or stop the service and remove .venv with: make clean" >&2
  exit 1
fi

target=${1:-$PWD/.venvs/$(date -u +%Y%m%d-%H%M%S)-$$}
if [ -e "$target" ]; then
  echo "install: $target is there already; name a new folder" >&2
  exit 1
fi
builder=$(mktemp -d)
trap 'rm -rf "$builder"; [ -f "$target/.installed" ] || rm -rf "$target"' EXIT
trap 'exit 1' INT TERM HUP

pip() {
  "$builder/bin/python" -m pip "$@"
}

echo "install: installing $requirements with $("$python" --version)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1
"$python" -m venv "$builder"
"$python" -m venv --without-pip "$target"
pip --python "$target/bin/python" install --require-hashes --only-binary :all: -r "$requirements"
pip install --require-hashes --only-binary :all: -r requirements/build.txt
pip wheel --no-deps --no-build-isolation --wheel-dir "$builder/wheel" .
pip --python "$target/bin/python" install --no-deps --no-index "$builder"/wheel/*.whl
version=$("$target/bin/mpanel-billing" --version)
touch "$target/.installed"
if [ $# != 0 ]; then
  exit
fi

current() {
  [ ! -L .venv ] || basename "$(readlink .venv)"
}

mkdir -p .venvs
keep=$(current)
ln -sfn ".venvs/$(basename "$target")" .venvs/next
"$python" -c 'import os; os.replace(".venvs/next", ".venv")'
for folder in .venvs/*/; do
  case $(basename "$folder") in
    "$keep" | "$(current)") ;;
    *) rm -rf "$folder" ;;
  esac
done
echo "install: mpanel-billing $version is in .venv; next: make migrate"
