#!/usr/bin/env bash
# Writes dist/sbom.json, the CycloneDX bill of materials of a new installation for production.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
scripts/install.sh "$folder/venv"
# pyproject.toml leaves the version to the package
version=$("$folder/venv/bin/mpanel-billing" --version)
sed "s/^dynamic = \[\"version\"\]/version = \"$version\"/" pyproject.toml >"$folder/pyproject.toml"
.tools/bin/cyclonedx-py environment --pyproject "$folder/pyproject.toml" --mc-type application \
  --output-reproducible --output-format JSON --output-file "$folder/sbom.json" \
  "$folder/venv/bin/python"
mkdir -p dist
mv "$folder/sbom.json" dist/sbom.json
echo "sbom: dist/sbom.json"
