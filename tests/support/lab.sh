# A whole factory and fleet on one machine: sourced by flow tests, the demo and the benchmark.
#
# lab_enter gives the script a network and a /etc/hosts of its own, so that the service can stand on
# port 443 and the hub on 8883 under real names without touching the machine. Everything made lives
# in $LAB and dies with the script.
#
#   source tests/support/lab.sh; lab_enter "$@"
#   lab_init [cradled init options]     data directory $LAB/data, names below
#   lab_service_start / lab_service_stop [SIGNAL]
#   lab_hub_start / lab_hub_stop        Mosquitto with the plugin; back end subscribed to all telemetry
#   lab_tpm_make NAME [rsa|ecc] / lab_tpm_start NAME / lab_tpm_stop NAME
#   lab_tpm_ek_pem NAME                 the endorsement key of its EK certificate, as PEM
#   lab_import FILE…                    ekpub-import into the data directory
#   lab_device NAME [cradle-device options]       LAB_DEVICE=PROGRAM: another than the build's
#   lab_python FILE…                    a Python part of a test, with dps.py on its path
#   lab_wait_for SECONDS COMMAND…       until COMMAND succeeds

LAB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CRADLE_BUILD=${CRADLE_BUILD:-$LAB_ROOT/build/release}
LAB_BIN=$CRADLE_BUILD/bin
LAB_PLUGIN=$CRADLE_BUILD/lib/mosquitto_cradle.so
LAB_SERVICE=provisioning.cradle.test
LAB_HUB=hub.cradle.test
PATH=$PATH:/usr/sbin:/sbin   # where Debian keeps mosquitto, nginx and mkfs; not on an ordinary user's path

lab_enter() {
  if [ "${LAB_INSIDE:-}" != 1 ]; then
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(-r)
    if ! unshare "${as_root[@]}" -m -n true 2>/dev/null; then
      echo "lab: this needs network and mount namespaces (root, or unprivileged user namespaces)" >&2
      exit 1
    fi
    local script=$0           # as it was called; the script has changed to its folder since
    [ -f "$script" ] || script=$(basename "$0")
    LAB_INSIDE=1 exec unshare "${as_root[@]}" -m -n "$BASH" "$script" "$@"
  fi
  LAB=$(mktemp -d "${TMPDIR:-/tmp}/cradle-lab.XXXXXX")
  trap lab_clean EXIT
  trap 'exit 130' INT TERM
  ip link set lo up
  printf '127.0.0.1 localhost %s %s\n' "$LAB_SERVICE" "$LAB_HUB" > "$LAB/hosts"
  mount --bind "$LAB/hosts" /etc/hosts
}

lab_clean() {
  local status=$? pid
  trap - EXIT
  for pid in "$LAB"/pid.*; do
    [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
  done
  # A test that failed leaves its story behind.
  if [ "$status" != 0 ] && [ "${LAB_QUIET:-}" != 1 ]; then
    local log
    for log in "$LAB"/*.log; do
      [ -s "$log" ] && { echo "---- ${log##*/}"; tail -n "${LAB_TAIL:-40}" "$log"; }
    done >&2
  fi
  wait 2>/dev/null
  umount /etc/hosts 2>/dev/null
  rm -rf "$LAB"
  exit "$status"
}

lab_python() {
  LAB=$LAB LAB_SERVICE=$LAB_SERVICE LAB_HUB=$LAB_HUB ID_SCOPE=$ID_SCOPE CA=$CA CRADLE_BUILD=$CRADLE_BUILD \
    PYTHONPATH=$LAB_ROOT/tests/support PYTHONDONTWRITEBYTECODE=1 python3 "$@"
}

lab_fail() { echo "FAILED: $*" >&2; exit 1; }

lab_wait_for() {
  local until=$((SECONDS + $1)); shift
  while ! "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.05
  done
}

lab_spawn() {  # NAME COMMAND…: in the background, log and pid under $LAB
  local name=$1; shift
  "$@" >>"$LAB/$name.log" 2>&1 &
  echo $! > "$LAB/pid.$name"
}

lab_stop() {   # NAME [SIGNAL]: and waits until it is gone
  local pid
  [ -f "$LAB/pid.$1" ] || return 0
  pid=$(cat "$LAB/pid.$1")
  kill "-${2:-TERM}" "$pid" 2>/dev/null
  lab_wait_for 10 lab_gone "$pid" || lab_fail "$1 does not end"
  wait "$pid" 2>/dev/null || true
  rm -f "$LAB/pid.$1"
}
lab_gone() { ! kill -0 "$1" 2>/dev/null || [ "$(ps -o stat= -p "$1" 2>/dev/null | cut -c1)" = Z ]; }

# ---- service and hub -------------------------------------------------------------------------
lab_init() {
  "$LAB_BIN/cradled" init --data "$LAB/data" --hostname "$LAB_SERVICE" --hub "line=$LAB_HUB" "$@" \
    > "$LAB/init.out" || lab_fail "cradled init"
  ID_SCOPE=$(sed -n 's/^id_scope=//p' "$LAB/init.out")
  CA=$(sed -n 's/^ca=//p' "$LAB/init.out")
  BACKEND_USER=$(sed -n 's/^backend_user=//p' "$LAB/init.out")
  BACKEND_PASSWORD=$(sed -n 's/^backend_password=//p' "$LAB/init.out")
}

lab_service_start() {
  lab_spawn service "$LAB_BIN/cradled" serve --data "$LAB/data" "$@"
  lab_wait_for 15 lab_listens 443 || lab_fail "the service does not listen"
}
lab_service_stop() { lab_stop service "${1:-TERM}"; }
lab_listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

lab_sanitizer_preload() {  # a broker that loads a sanitized plugin needs the runtime first
  ldd "$LAB_PLUGIN" | awk '/libasan|libubsan/ {print $3}' | tr '\n' ' '
}

lab_hub_start() {
  local preload
  preload=$(lab_sanitizer_preload)
  lab_spawn hub env LD_PRELOAD="$preload" ASAN_OPTIONS=detect_leaks=0 \
    mosquitto -c "$LAB/data/hub/line.conf"
  lab_wait_for 15 lab_listens 8883 || lab_fail "the hub does not listen"
  lab_spawn telemetry stdbuf -oL mosquitto_sub -h "$LAB_HUB" -p 8883 --cafile "$CA" -i operator \
    -u "$BACKEND_USER" -P "$BACKEND_PASSWORD" -v -t 'devices/+/messages/events/#'
  lab_wait_for 10 lab_backend_ready || lab_fail "the back end cannot subscribe"
}
# Subscribed once a message of its own comes back would need a right it does not have; the broker's
# log tells instead.
lab_backend_ready() { grep -q 'operator' "$LAB/hub.log" && sleep 0.2; }
lab_hub_stop() { lab_stop telemetry; lab_stop hub "${1:-TERM}"; }
lab_received() { grep -q "$1" "$LAB/telemetry.log"; }   # PATTERN over "topic payload" lines

# ---- TPMs ------------------------------------------------------------------------------------
# A TPM as it leaves its factory: EK certificate in NV, signed by a vendor CA of the lab's own.
lab_tpm_make() {
  local name=$1 dir=$LAB/tpm-$1 vendor=$LAB/vendor ecc=()
  [ "${2:-rsa}" = rsa ] || ecc=(--ecc)
  mkdir -p "$dir" "$vendor"
  if [ ! -f "$vendor/setup.conf" ]; then
    printf '%s\n' "statedir=$vendor" "signingkey=$vendor/key.pem" "issuercert=$vendor/ca.pem" \
      "certserial=$vendor/serial" > "$vendor/localca.conf"
    printf '%s\n' '--platform-manufacturer Cradle' '--platform-version 1' '--platform-model Lab' \
      > "$vendor/localca.options"
    printf '%s\n' "create_certs_tool=$(command -v swtpm_localca)" \
      "create_certs_tool_config=$vendor/localca.conf" \
      "create_certs_tool_options=$vendor/localca.options" > "$vendor/setup.conf"
  fi
  swtpm_setup --tpm2 --tpmstate "$dir" --create-ek-cert --lock-nvram --pcr-banks sha256 \
    "${ecc[@]}" --config "$vendor/setup.conf" --write-ek-cert-files "$dir" >"$LAB/vendor.out" 2>&1 ||
    { cat "$LAB/vendor.out" >&2; lab_fail "swtpm_setup $name"; }
}
lab_tpm_start() {
  local dir=$LAB/tpm-$1
  swtpm socket --tpm2 --tpmstate "dir=$dir" --flags startup-clear --daemon --pid "file=$LAB/pid.tpm-$1" \
    --server "type=unixio,path=$dir/sock" --ctrl "type=unixio,path=$dir/sock.ctrl" ||
    lab_fail "swtpm $1"
  lab_wait_for 5 test -S "$dir/sock" || lab_fail "swtpm $1 does not listen"
}
lab_tpm_stop() { lab_stop "tpm-$1"; }
lab_tpm_ek_pem() { openssl x509 -inform DER -in "$LAB/tpm-$1/ek-rsa2048.crt" -noout -pubkey; }
lab_tcti() { echo "swtpm:path=$LAB/tpm-$1/sock"; }
# tpm2-tools against a lab TPM: lab_tpm2 NAME readpublic …
lab_tpm2() { local name=$1; shift; TPM2TOOLS_TCTI=$(lab_tcti "$name") tpm2 "$@"; }

# ---- the line and its devices ----------------------------------------------------------------
lab_import() { "$LAB_BIN/ekpub-import" --data "$LAB/data" "$@"; }

# One CSV row's EK from a PEM: quoted, line breaks kept.
lab_csv_quote() { printf '"%s"' "$1"; }

# A list of one device with that id: lab_enroll TPM ID [further columns as name=value …]
lab_enroll() {
  local tpm=$1 id=$2 names=registrationId,endorsementKey values; shift 2
  values="$id,$(lab_csv_quote "$(lab_tpm_ek_pem "$tpm")")"
  local pair
  for pair in "$@"; do names+=",${pair%%=*}"; values+=",${pair#*=}"; done
  printf '%s\n%s\n' "$names" "$values" > "$LAB/enroll-$id.csv"
  lab_import "$LAB/enroll-$id.csv" >"$LAB/import.log" || lab_fail "importing $id"
}

lab_device() {
  local name=$1; shift
  mkdir -p "$LAB/state-$name"
  "${LAB_DEVICE:-$LAB_BIN/cradle-device}" --service "$LAB_SERVICE" --id-scope "$ID_SCOPE" --ca "$CA" \
    --tcti "$(lab_tcti "$name")" --state "$LAB/state-$name" "$@"
}
