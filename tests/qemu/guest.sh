# Guests of the lab (tests/support/lab.sh): machines with nothing but a TPM, a network card and a
# disk for their state, run by QEMU. Sourced after lab.sh.
#
#   guest_provide ARCH [minimal]   before lab_enter: the image, maybe with the minimal device; ends the
#                           script with 77 where there is no QEMU
#   guest_make NAME         its TPM (EK and SRK are not made yet) and its empty disk
#   guest_disk NAME         a new, empty disk
#   guest_boot NAME ARCH [QEMU options --] [cradle-device options]
#                           its story, as the serial line brings it; until it has turned itself off

guest_provide() {
  guest_flavour=${2:-}
  if [ "${CRADLE_NO_QEMU:-}" = 1 ]; then
    echo "SKIPPED: QEMU cannot be installed on this machine, no guest of $1 was booted" >&2
    exit 77
  fi
  [ "${LAB_INSIDE:-}" = 1 ] && return
  [ -f "$LAB_ROOT/build/deps/kernel-$1/version" ] || { echo "guest: run scripts/setup --qemu" >&2; exit 1; }
  "$LAB_ROOT/tests/qemu/image" "$@" || exit 1
}

guest_make() {
  lab_tpm_make "$1"
  lab_tpm_start "$1"
  lab_tpm2 "$1" evictcontrol -C o -c 0x81010001 >/dev/null || lab_fail "evicting the EK"
  lab_tpm_stop "$1"
  guest_disk "$1"
}

guest_disk() {
  rm -f "$LAB/disk-$1"
  truncate -s 8M "$LAB/disk-$1"
  mkfs.ext4 -q -F -m 0 "$LAB/disk-$1" || lab_fail "mkfs.ext4"
}

guest_tpm_start() {   # the TPM as QEMU wants it: only its control channel
  rm -f "$LAB/tpm-$1/qemu"
  swtpm socket --tpm2 --tpmstate "dir=$LAB/tpm-$1" --ctrl "type=unixio,path=$LAB/tpm-$1/qemu" \
    --flags startup-clear --daemon --pid "file=$LAB/pid.tpm-$1" || lab_fail "swtpm $1"
}

guest_line() {   # NAME [cradle-device options]: what a line writes into a device, as an archive
  local name=$1 dir=$LAB/line-$1; shift
  mkdir -p "$dir/etc/cradle"
  printf '127.0.0.1 localhost\n10.0.2.2 %s %s\n' "$LAB_SERVICE" "$LAB_HUB" > "$dir/etc/hosts"
  cp "$CA" "$dir/etc/cradle/ca.pem"
  printf '%s\n' --service "$LAB_SERVICE" --id-scope "$ID_SCOPE" --ca /etc/cradle/ca.pem \
    --tcti device:/dev/tpm0 --state /state/cradle --once "$@" > "$dir/etc/cradle/arguments"
  (cd "$dir" && find . -mindepth 1 | sort | cpio --quiet -o -H newc --owner 0:0)
}

guest_boot() {
  local name=$1 arch=$2 image=$LAB_ROOT/build/qemu-$2${guest_flavour:+-$guest_flavour} machine console more=() i; shift 2
  for ((i = 1; i <= $#; i++)); do
    [ "${!i}" = -- ] && { more=("${@:1:i-1}"); shift "$i"; break; }
  done
  case $arch in
    x86_64) machine=(qemu-system-x86_64 -M q35 -cpu max -device tpm-crb,tpmdev=tpm)
            console=ttyS0 ;;
    arm64) machine=(qemu-system-aarch64 -M virt -cpu cortex-a53 -device tpm-tis-device,tpmdev=tpm)
           console=ttyAMA0 ;;
  esac
  { cat "$image/initrd"; guest_line "$name" "$@"; } > "$LAB/initrd-$name"
  guest_tpm_start "$name"
  # A node /dev/kvm does not prove that it works. The kernel's own tests of its ciphers take a third
  # of its time here, and nothing uses them.
  timeout "${GUEST_TIMEOUT:-120}" "${machine[@]}" -accel tcg,thread=multi -m 256 -smp 1 \
    -nodefaults -no-user-config -display none -no-reboot -serial stdio \
    -kernel "$image/vmlinuz" -initrd "$LAB/initrd-$name" \
    -append "console=$console quiet loglevel=3 panic=-1 cryptomgr.notests" \
    -chardev "socket,id=tpm,path=$LAB/tpm-$name/qemu" -tpmdev emulator,id=tpm,chardev=tpm \
    -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= \
    -drive "file=$LAB/disk-$name,format=raw,if=none,id=state" -device virtio-blk-pci,drive=state \
    "${more[@]}" </dev/null 2>>"$LAB/qemu-$name.log" | sed -u 's/\r//g'
  lab_tpm_stop "$name"
}
