# The minimal device (-DCRADLE_FIRMWARE_MINIMAL=ON) for tests of a build that is another. Sourced.
#
#   minimal_provide     build/minimal: cradle-device and tls_probe, as the sources are now
#   MINIMAL_BUILD       where that is
MINIMAL_BUILD=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/minimal

minimal_provide() {
  local root=${MINIMAL_BUILD%/build/minimal}
  [ "${LAB_INSIDE:-}" != 1 ] || return 0
  [ -f "$root/build/deps/wolfssl-minimal/lib/libwolfssl.a" ] ||
    { echo "minimal: run scripts/setup --minimal" >&2; exit 1; }
  (
    flock 9    # several tests want it, and may begin at the same time
    cd "$root" && { cmake --preset minimal && cmake --build --preset minimal; } > "$MINIMAL_BUILD.log" 2>&1
  ) 9> "$MINIMAL_BUILD.lock" || { tail -n 20 "$MINIMAL_BUILD.log" >&2; exit 1; }
}
