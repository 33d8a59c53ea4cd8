#!/usr/bin/env bash
# Builds the image from this checkout on a bare Debian and runs tests/container with it. As root on
# Debian; it mounts in a namespace of its own, and keeps everything in one temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/package-indexes.sh

if [ "${1:-}" != --inside ]; then
  scripts/install-packages.sh "the container" "debootstrap podman buildah unshare" \
    "debootstrap podman buildah util-linux"
  folder=$(mktemp -d)
  trap 'rm -rf --one-file-system "$folder"' EXIT
  FOLDER=$folder unshare --mount --propagation private --pid --fork --kill-child \
    --mount-proc scripts/test-container.sh --inside "$@"
  exit
fi
shift

# podman wants cgroups of its own, and neither systemd nor the kernel's may be there
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export STORAGE="--root $FOLDER/storage --runroot $FOLDER/run"
pod() {
  # shellcheck disable=SC2086 # options
  podman $STORAGE --cgroup-manager=cgroupfs "$@"
}

echo "making the base image"
scripts/bare-debian.sh "$FOLDER/base" python3,python3-venv
tar --directory "$FOLDER/base" --create . | pod import --quiet - bare-debian >/dev/null
rm -rf "$FOLDER/base"

echo "building"
volumes=()
for index in $(local_indexes); do volumes+=(--volume "$index:$index:ro"); done
environment=()
for name in $(compgen -e PIP_ || true); do environment+=(--env "$name"); done
# shellcheck disable=SC2086
buildah $STORAGE bud --isolation chroot --format docker --quiet "${volumes[@]}" \
  --build-arg BASE=bare-debian --file deploy/container/Containerfile --tag mpanel-billing .

.venv/bin/pytest -rs tests/container "$@"
