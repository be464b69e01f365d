# A Mosquitto that loads our plugin: sourced by scripts.
#
#   source tests/support/broker.sh
#   broker_start CONF LOG     in the background; waits until it runs (CONF must log to stderr)
#   broker_stop [SIGNAL]      and waits until it is gone; status 1 if it did not end by itself
#   broker_reload             makes it read its configuration again
#   broker_preload PLUGIN     the libraries that must be loaded before a sanitized plugin
#
# CRADLE_BUILD names the build whose plugin CONF loads. BROKER_PID is the broker's.

BROKER_PID=

# The plugin of a sanitizing build needs its runtimes first in a broker that was built without.
broker_preload() {
  ldd "$1" | awk '/lib(asan|ubsan)\.so/ {print $3}' | paste -sd: -
}

broker_start() {
  local conf=$1 log=$2 plugin tries=0
  plugin=$(sed -n 's/^[[:space:]]*\(auth_\)\{0,1\}plugin[[:space:]]\{1,\}//p' "$conf" | head -n 1)
  # The broker leaves memory behind at its end; leaks of ours show in the unit tests.
  env LD_PRELOAD="$(broker_preload "$plugin")" \
    ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}" \
    mosquitto -c "$conf" >>"$log" 2>&1 &
  BROKER_PID=$!
  until grep -q 'mosquitto version .* running' "$log"; do
    if ! kill -0 "$BROKER_PID" 2>/dev/null || [ $((tries += 1)) -gt 300 ]; then
      echo "broker: does not start" >&2
      tail -n 20 "$log" >&2
      broker_stop KILL
      return 1
    fi
    sleep 0.05
  done
}

broker_reload() { kill -HUP "$BROKER_PID"; }

broker_stop() {
  local tries=0 status=0
  [ -n "$BROKER_PID" ] || return 0
  kill "-${1:-TERM}" "$BROKER_PID" 2>/dev/null
  while kill -0 "$BROKER_PID" 2>/dev/null; do
    if [ $((tries += 1)) -gt 200 ]; then
      kill -KILL "$BROKER_PID"
      status=1
    fi
    sleep 0.05
  done
  wait "$BROKER_PID" 2>/dev/null || { [ "${1:-TERM}" = KILL ] || status=1; }
  BROKER_PID=
  return $status
}
