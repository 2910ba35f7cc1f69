#!/usr/bin/env bash
# Installs from the distribution's packages (Debian 12, Ubuntu 22.04 and later) what is still missing.
# Relies on nothing but the essential packages of a minimal Debian.
# Exit status: 0 all is there, 1 apt-get failed, 2 wrong argument, unknown system or no right to install.
set -euo pipefail

bench_packages='
g++                 compiles the servers and the harness
cmake               configures the build
ninja-build         runs the build
libboost-dev        Boost.Beast parses HTTP in the servers
nlohmann-json3-dev  reads and writes JSON in the harness
libcli11-dev        command lines of the executables
zlib1g-dev          compresses latency histograms
libbenchmark-dev    runs the micro-benchmarks
wrk                 generates the load with --driver wrk
python3             runs scripts/spawnpool
python3-numpy       arrays for statistics and pictures
python3-scipy       statistics
python3-matplotlib  draws the pictures
python3-rich        progress display and tables
python3-jsonschema  validates suites and results
python3-jinja2      writes the report page
'

test_packages='
libgtest-dev        unit tests in C++
python3-pytest      unit tests in Python
python3-pytest-xdist  runs them beside each other
ccache              compiles again only what changed
strace              counts system calls a second, independent way
valgrind            counts instructions, and allocations a second, independent way
clang-format-14     checks the C++ format
clang-tidy-14       static analysis of C++
clang-14            compiles the fuzzer, and what runs under AddressSanitizer
libclang-rt-14-dev  libFuzzer and the sanitizers of clang-14
black               checks the Python format
mypy                checks the Python types
python3-typeshed    types of the standard library, for mypy
shellcheck          static analysis of shell scripts
golang-go           builds the peers in Go
golang-github-valyala-fasthttp-dev  the peer fasthttp
nginx-light         the peer nginx
default-jdk-headless  runs the reference implementation of HdrHistogram
libbenchmark-tools  reads what is exported for Google Benchmark
git                 builds two revisions for duel
python3-yaml        reads the workflow for GitHub, whose steps the tests run
python3-prometheus-client  reads what is exported for Prometheus
libhdrhistogram-java  the reference implementation of HdrHistogram, to check ours against
'

usage() {
  cat <<'TEXT'
Usage: scripts/setup.sh [bench|test]
Installs the missing packages with apt-get (through sudo when not root).
  bench  what scripts/bench.sh needs (default)
  test   what scripts/test.sh needs: bench, and the tools of the tests
TEXT
}

fail() {  # STATUS MESSAGE
  printf 'setup.sh: %s\n' "$2" >&2
  exit "$1"
}

case "$#:${1-bench}" in
  0:bench | 1:bench) wanted=$bench_packages ;;
  1:test) wanted=$bench_packages$test_packages ;;
  1:-h | 1:--help) usage; exit 0 ;;
  *) fail 2 "cannot set up '$*'; say 'bench' or 'test' (see scripts/setup.sh --help)" ;;
esac

declare -a names=()
declare -A why=()
while read -r name reason; do
  [[ -n $name ]] || continue
  names+=("$name")
  why[$name]=$reason
done <<<"$wanted"

# A subshell, because os-release is shell text that sets any variable it likes.
# shellcheck source=/dev/null
is_debian() {
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null && [[ -r /etc/os-release ]] &&
    (. /etc/os-release && [[ " ${ID-} ${ID_LIKE-} " =~ \ (debian|ubuntu)\  ]])
}
is_debian || fail 2 "no Debian or Ubuntu with apt-get; install the like of: ${names[*]}"

# dpkg-query fails when it knows nothing of a package; a removed package may be known as "config-files".
declare -A installed=()
while read -r state name; do
  if [[ $state == installed ]]; then
    installed[$name]=yes
  fi
done < <(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${names[@]}" 2>/dev/null)

# Until 14.0.6 (Ubuntu 22.04) it was part of a package that clang-14 brings.
declare -A part_of=([libclang-rt-14-dev]='libclang-common-14-dev 1:14.0.6-10~exp4')
for name in "${!part_of[@]}"; do
  read -r whole since <<<"${part_of[$name]}"
  read -r state version < <(dpkg-query --show --showformat='${db:Status-Status} ${Version}\n' "$whole" 2>/dev/null) ||
    continue
  if [[ $state == installed ]] && dpkg --compare-versions "$version" lt "$since"; then
    installed[$name]=yes
  fi
done

missing=()
for name in "${names[@]}"; do
  [[ -n ${installed[$name]-} ]] || missing+=("$name")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    fail 2 "not root and no sudo; run as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  as_root=(sudo)
fi
for name in "${missing[@]}"; do
  echo "setup.sh: installs $name: ${why[$name]}"
done

# Packages start their services: the peer nginx would listen on port 80 of this machine from now on.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]] &&
  "${as_root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy" 2>/dev/null; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

log=$(mktemp -t spawnpool-setup.XXXXXX)
# A PATH without sbin (plain su) makes dpkg fail; a fresh machine may be busy with upgrades of its own.
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin" \
    apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$log" </dev/null 2>&1
}
# A failed update is no failure yet: one broken source need not be the one that is needed.
apt_get update || true
for i in "${!missing[@]}"; do
  if [[ -n ${part_of[${missing[i]}]-} ]] && ! apt-cache show "${missing[i]}" >/dev/null 2>&1; then
    unset "missing[i]"
  fi
done
apt_get install --yes --no-install-recommends "${missing[@]}" || {
  error=$(grep -m 1 '^E:' "$log" || tail -n 1 "$log")
  fail 1 "apt-get failed: ${error#E: }; check network and package sources, then try again (all it said: $log)"
}
rm -f "$log"
