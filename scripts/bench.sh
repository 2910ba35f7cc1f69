#!/usr/bin/env bash
# From a fresh machine to a measured comparison: sets up, builds, runs the suite "quick", draws it.
# Exit status: that of `scripts/spawnpool run` (0 every trial valid, 1 some not, 2 wrong option, 130 or
# 143 interrupted); 1 also when the build or a picture failed, 2 when the machine cannot be set up.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/step.sh
. "$root/scripts/step.sh"

if [[ ${1-} == -h || ${1-} == --help ]]; then
  cat <<'TEXT'
Usage: scripts/bench.sh [OPTION...]
Installs what is missing, builds, runs the suite "quick", prints its table, draws it and writes a page.
The options are those of `scripts/spawnpool run`, among them:
  --blocks N   2 N pairs of trials per comparison instead of the suite's number
  --out FILE   where the result goes, instead of results/quick-TIME.json
TEXT
  exit 0
fi

result=$root/results/quick-$(date -u +%Y%m%dT%H%M%SZ).json
arguments=("$@")
for i in "${!arguments[@]}"; do
  case ${arguments[i]} in
    --out=*) result=${arguments[i]#--out=} ;;
    --out) result=${arguments[i + 1]-} ;;
  esac
done

"$root/scripts/setup.sh" bench
# A wrong option is told now, not after the build.
"$root/scripts/spawnpool" run quick "$@" --help >/dev/null

build=$root/build/release
first=()
[[ -f $build/build.ninja ]] || first=(-DBUILD_TESTING=OFF)  # the tests would need more packages and time
must() {
  step "$@"
  ((step_status == 0)) || exit 1
}
must cmake -S "$root" --preset release "${first[@]}" >/dev/null
must cmake --build "$build"

step "$root/scripts/spawnpool" run quick --out "$result" "$@"
run_status=$step_status
((run_status <= 1)) || exit "$run_status"

pictures=$root/plots/$(basename "$result" .json)
must "$root/scripts/spawnpool" plot "$result" --out "$pictures" >/dev/null
must "$root/scripts/spawnpool" report "$result" --out "$pictures/report.html" >/dev/null
echo "pictures: $pictures"
echo "report: $pictures/report.html"
exit "$run_status"
