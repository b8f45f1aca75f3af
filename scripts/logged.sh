# Sourced: `logged COMMAND...` keeps what COMMAND says in $log, and shows the end of it where it fails.

logged() {
  "$@" >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    echo "moat: set-up stopped at: $* (log: $log)" >&2
    exit 1
  }
}
