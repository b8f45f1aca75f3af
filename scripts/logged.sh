# To be sourced. `logged COMMAND...` appends the output of COMMAND to $log, and shows its end if COMMAND fails.

logged() {
  "$@" >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    echo "moat: set-up stopped at: $* (log: $log)" >&2
    exit 1
  }
}
