#!/bin/bash
# ./build.sh          builds dist/bin
# ./build.sh demo     builds, then shows networks being made and removed (more words go to weft demo)
# ./build.sh test     builds and runs every test; its last line is the sum
# ./build.sh bench    builds and measures against the reference plugins
# ./build.sh fuzz [N] feeds the decoders N hostile inputs each, a million unless told
#
# Needs Debian 12 or later, Node 20 or later, npm. Installs the rest: npm packages by the lock file, and, when
# root, Debian packages.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/node_modules/.bin:$PATH"

TEST_PACKAGES="iproute2 nftables iptables conntrack tcpdump strace ethtool iputils-ping jq kmod cpio
  busybox-static qemu-system-x86 containernetworking-plugins containerd
  dbus-daemon dbus-bin python3-dbus python3-gi
  util-linux gcc libc6-dev linux-libc-dev"

fail() { echo "build.sh: $*" >&2; exit 1; }

install_npm_packages() {
  command -v npm >/dev/null || fail "npm is missing: install Node 20 or later"
  if [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "installing npm packages by package-lock.json"
    rm -rf .tap
    npm ci --no-progress --loglevel=error
  fi
  # npm can be told not to run install scripts; bun's puts its executable in place.
  bun --version >/dev/null 2>&1 || (cd node_modules/bun && node install.js)
  bun --version >/dev/null || fail "bun does not run on this machine"
  [ -d .tap/plugins ] || tap build >/dev/null # with the plugins that .taprc names
}

install_debian_packages() {
  local missing=""
  for package in "$@"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || missing+=" $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "Debian packages missing, and only root can install them; what needs them is skipped:$missing"
    return 0
  fi
  echo "installing Debian packages:$missing"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install --no-install-recommends $missing; } >dist/apt.log 2>&1 ||
    fail "apt-get failed: $(tail -n 1 dist/apt.log)"
}

build() { bun scripts/build.ts; }

mkdir -p dist
install_npm_packages
command="${1:-build}"
shift || true
case "$command" in
  build) build ;;
  demo)
    install_debian_packages iproute2 iputils-ping nftables
    build
    dist/bin/weft demo "$@"
    ;;
  test)
    install_debian_packages $TEST_PACKAGES
    bun scripts/test.ts "$@"
    ;;
  bench)
    install_debian_packages iproute2 nftables iptables iperf3 containernetworking-plugins
    build
    bun bench/run.ts "$@"
    ;;
  fuzz)
    export FUZZ_CASES="${1:-1000000}"
    find lib plugins -name '*.fuzz.test.ts' -printf './%p\n' |
      xargs --no-run-if-empty bun test --timeout 86400000 # ms, a day
    ;;
  *) fail "unknown command \"$command\": build, demo, test, bench, fuzz" ;;
esac
