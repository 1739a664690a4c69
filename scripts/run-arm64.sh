#!/bin/sh
# Runs an arm64 binary on this machine: scripts/run-arm64.sh dist/logbox-agent-linux-arm64 --version
# qemu translates the program. The libraries it wants of an arm64 system come from Debian's cross packages, which are
# unpacked beside the other caches of the build and not installed.
set -eu

libraries=$(cd "$(dirname "$0")/.." && pwd)/node_modules/.cache/logbox/arm64-libraries
packages='libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross'

install_qemu() {
  apt-get update
  apt-get install -y --no-install-recommends qemu-user-static
}

unpack_libraries() {
  rm -rf "$libraries" && mkdir -p "$libraries" && cd "$libraries"
  apt-get download $packages || { apt-get update && apt-get download $packages; }
  for package in *.deb; do dpkg -x "$package" .; done
  touch complete
}

if [ "$(uname -m)" = aarch64 ]; then exec "$@"; fi
command -v qemu-aarch64-static >/dev/null || install_qemu >&2
[ -e "$libraries/complete" ] || (unpack_libraries) >&2
# The kernel knows nothing of qemu, so the program cannot start itself.
export LOGBOX_ONE_PROCESS=1
exec qemu-aarch64-static -L "$libraries/usr/aarch64-linux-gnu" "$@"
