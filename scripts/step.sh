# shellcheck shell=bash disable=SC2034  # step_status is for the script that sources this
# Sourced by bench.sh and test.sh: steps that end when the script is told to end.

# Bash hands no signal on to the child it waits for, so each step is a process group that gets it from here.
step_group=
step_begins=
step_ended_by=()
end_with_step() {  # SIGNAL STATUS
  if [[ -n $step_begins ]]; then  # its number is not known yet
    step_ended_by=("$@")
    return
  fi
  trap '' INT TERM
  if [[ -n $step_group ]]; then
    kill "-$1" -- "-$step_group" 2>/dev/null || true
    wait "$step_group" || true
  fi
  exit "$2"
}
trap 'end_with_step INT 130' INT
trap 'end_with_step TERM 143' TERM

# step COMMAND...: runs it without standard input and sets step_status to its exit status. Returns 0
# always: in `step … || …` bash would also ignore `set -e` within a COMMAND that is a function.
step() {
  step_begins=1
  set -m
  "$@" </dev/null &
  step_group=$!
  set +m
  step_begins=
  ((${#step_ended_by[@]} == 0)) || end_with_step "${step_ended_by[@]}"
  step_status=0
  wait "$step_group" || step_status=$?
  step_group=
}
