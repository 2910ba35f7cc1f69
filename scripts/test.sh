#!/usr/bin/env bash
# Every test of the project, on a fresh machine or a built tree. CI runs this and nothing else.
# Exit status: 0 all passed, 1 a stage failed, 2 wrong argument or no way to set up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/step.sh

# The distribution's own interpreter and packages, whatever the caller has activated or installed for himself.
python=/usr/bin/python3
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTHONHOME
config=scripts/python/pyproject.toml

stage_format() {  # C++ and Python are formatted
  find servers harness -name '*.[ch]pp' -print0 | xargs -0 clang-format-14 --dry-run -Werror
  $python -m black --quiet --check --config $config scripts scripts/spawnpool servers/peers
}

stage_shell() {  # shell scripts are free of the known mistakes
  shellcheck -x scripts/*.sh .ci/run
}

stage_types() {  # Python types
  $python -m mypy --config-file $config --cache-dir build/mypy scripts/*.py scripts/python servers/peers/*.py
}

# Tests run beside each other, and some of them measure: one that fails then is run once more by itself, and
# fails when it fails again. What a sanitizer has found is found.
run_failed_again() {  # PRESET [COMMAND...], under which they are to run
  if grep -E 'Sanitizer: |runtime error: ' "build/$1/Testing/Temporary/LastTest.log"; then
    return 1
  fi
  echo "test.sh: what failed is run once more, by itself"
  "${@:2}" ctest --preset "$1" --rerun-failed --parallel 1 --no-tests=error
}

run_pytest() {  # [ARGUMENT...]
  local tests=("$python" -m pytest -q -c "$config")
  "${tests[@]}" "$@" && return
  echo "test.sh: what failed is run once more, by itself"
  "${tests[@]}" "$@" --numprocesses 0 --last-failed --last-failed-no-failures none
}

stage_release() {  # C++ tests, as measured
  cmake --preset release -DBUILD_TESTING=ON
  cmake --build --preset release
  ctest --preset release --no-tests=error ||
    run_failed_again release
}

stage_python() {  # tests of the scripts, of the command spawnpool and of the peers
  # Most wait for servers and time-outs, so there are more workers than cores.
  run_pytest --numprocesses 3 -m 'not alone' scripts servers/peers
  run_pytest -m alone scripts servers/peers
}

stage_tidy() {  # static analysis of every C++ file of the programs
  # Not of the tests, whose macros take as long to analyse as everything else. Each library is one unit here:
  # most of the time goes into the headers, which its files share.
  cmake --preset tidy >/dev/null
  local out
  out=$(run-clang-tidy-14 -quiet -p build/tidy -j "$(nproc)" -checks=-bugprone-suspicious-include 2>&1) ||
    { echo "$out"; return 1; }
}

stage_fuzz() {  # server and generator fed with mutations of their corpora, for a short while
  cmake --preset fuzz -DBUILD_TESTING=ON
  cmake --build --preset fuzz
  # Finds go into the build tree; so do new inputs, which the next run begins with. A core each. A signal
  # is not for libFuzzer to handle: it takes locks then, and can wait for itself.
  local status=0 options='-seed=1 -max_total_time=15 -timeout=20 -max_len=4096 -print_final_stats=1
    -artifact_prefix=build/fuzz/ -handle_int=0 -handle_term=0'
  mkdir -p build/fuzz/found-{connection,answer}
  # shellcheck disable=SC2016  # for the shell that xargs starts
  printf '%s\n' 'connection servers/fuzz/corpus' 'answer harness/load/fuzz/corpus' |
    xargs -P 2 -L 1 bash -c 'exec build/fuzz/bin/$1_fuzzer $0 build/fuzz/found-$1 $2 &>build/fuzz/$1.log' "$options" ||
    status=1
  cat build/fuzz/{connection,answer}.log
  return $status
}

stage_asan-ubsan() {  # C++ tests, watched for wrong memory accesses, leaks and undefined behaviour
  cmake --preset asan-ubsan -DBUILD_TESTING=ON
  cmake --build --preset asan-ubsan
  ctest --preset asan-ubsan --no-tests=error ||
    run_failed_again asan-ubsan
}

stage_tsan() {  # C++ tests of what runs in threads, watched for data races
  # ThreadSanitizer cannot map its shadow where kernels randomise addresses by more than 28 bits.
  local fixed=(setarch --addr-no-randomize)
  "${fixed[@]}" true 2>/dev/null || fixed=()
  cmake --preset tsan -DBUILD_TESTING=ON
  "${fixed[@]}" cmake --build --preset tsan
  "${fixed[@]}" ctest --preset tsan --no-tests=error ||
    run_failed_again tsan "${fixed[@]}"
}

mapfile -t all < <(sed -n 's/^stage_\([a-z-]*\)() {  # .*/\1/p' scripts/test.sh)

usage() {
  echo "Usage: scripts/test.sh [STAGE...]"
  echo "Installs what is missing, then runs the given stages, or all, in this order:"
  sed -n 's/^stage_\([a-z-]*\)() {  # /\1 /p' scripts/test.sh | while read -r name words; do
    printf '  %-12s%s\n' "$name" "$words"
  done
}

run() {  # STAGE
  local started=$SECONDS
  echo "test.sh: $1"
  step "stage_$1"
  if ((step_status)); then
    echo "test.sh: stage '$1' failed after $((SECONDS - started)) s; again: scripts/test.sh $1" >&2
    exit 1
  fi
  echo "test.sh: $1 passed in $((SECONDS - started)) s"
}

for stage in "$@"; do
  case " ${all[*]} -h --help " in
    *" $stage "*) ;;
    *) echo "test.sh: no stage '$stage'; there are: ${all[*]}" >&2; exit 2 ;;
  esac
  case $stage in
    -h | --help) usage; exit 0 ;;
  esac
done
scripts/setup.sh test
(($#)) || set -- "${all[@]}"
for stage in "$@"; do
  run "$stage"
done
echo "test.sh: all $# stages passed in $SECONDS s"
