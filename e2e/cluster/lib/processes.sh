# Starting and ending by process id. A note holds the id and the process's start time, so that an id that was given to
# somebody else since is never mistaken for ours.

note_of() { echo "$STATE/run/$1"; }

started_at() { # the 22nd field; the second one may hold spaces
  local stat
  stat="$(cat "/proc/$1/stat" 2>/dev/null)" || return 1
  stat="${stat##*) }"
  cut -d' ' -f20 <<<"$stat"
}

note() { echo "$2 $(started_at "$2")" >"$(note_of "$1")"; }

# The id of a component that runs. One that was killed and that nobody has reaped yet does not.
pid_of() {
  local pid at
  read -r pid at 2>/dev/null <"$(note_of "$1")" || return 1
  [ "$(started_at "$pid")" = "$at" ] && ! is_zombie "$pid" && echo "$pid"
}

# Two at once would start and clean the same things.
one_at_a_time() {
  mkdir -p "$CACHE"
  exec 9>"$CACHE/cluster.lock"
  flock 9
}

is_zombie() { grep -q '^State:[[:space:]]Z' "/proc/$1/status" 2>/dev/null; }

# Ends a component that was started here, and waits until it is gone.
end() {
  local pid
  pid="$(pid_of "$1")" || { rm -f "$(note_of "$1")"; return 0; }
  kill -KILL "$pid" 2>/dev/null || true
  wake_parents
  await 30 "$1 (process $pid) ends" is_gone "$pid"
  rm -f "$(note_of "$1")"
}

is_gone() { [ ! -e "/proc/$1" ] || is_zombie "$1"; }

# An nsenter stops itself when what it runs is stopped, and then does not see it end: the node's namespaces would wait for it.
wake_parents() {
  local file
  for file in "$STATE"/run/*.nsenter; do
    [ -e "$file" ] && kill -CONT "$(pid_of "$(basename "$file")")" 2>/dev/null || true
  done
}

# Runs `on_host NAME COMMAND...` beside us, and notes it.
on_host() {
  local name="$1"
  shift
  setsid -- "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
  note "$name" $!
}

# The same inside the node's process and mount namespaces: everything there ends with its first process.
in_node() {
  local name="$1" node first
  shift
  # The one before may have been frozen, and then killed: its nsenter still has to see that.
  wake_parents
  node="$(pid_of node)"
  setsid -- nsenter --target "$node" --pid --mount -- "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
  first=$!
  await 10 "$name starts" child_of "$first"
  note "$name.nsenter" "$first"
  note "$name" "$(child_of "$first")"
}

child_of() {
  local child=
  read -r child _ <"/proc/$1/task/$1/children" || true # there is no newline
  [ -n "$child" ] && echo "$child"
}

# Waits for a command to succeed: `await SECONDS WHAT COMMAND...`.
await() {
  local until=$((SECONDS + $1)) what="$2"
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$until" ]; then
      echo "cluster: waited in vain: $what" >&2
      return 1
    fi
    sleep 0.05
  done
}
