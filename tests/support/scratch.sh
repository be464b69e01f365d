# A copy of this machine that may be written to, for what insists on its own paths. Sourced after
# lab.sh, inside the lab: it lies in memory, in the script's own mount namespace, and dies with it.
#
#   scratch_make        $SCRATCH is the root of it
#   scratch_run …       a command inside
#   scratch_device BINARY   /usr/bin/cradle-device, and the examples of packaging/ where they belong

scratch_make() {   # under /mnt, where lab_clean removes nothing
  SCRATCH=/mnt/root
  mount -t tmpfs none /mnt
  mkdir /mnt/upper /mnt/work "$SCRATCH"
  mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work "$SCRATCH" ||
    lab_fail "this needs overlay file systems"
  mkdir -p "$SCRATCH"/{proc,dev,tmp,run}
  mount --rbind /proc "$SCRATCH/proc"
  mount -t tmpfs none "$SCRATCH/tmp"
  mount -t tmpfs none "$SCRATCH/dev"
  local node
  for node in null zero urandom; do
    : > "$SCRATCH/dev/$node"
    mount --bind "/dev/$node" "$SCRATCH/dev/$node"
  done
  ln -s /proc/self/fd "$SCRATCH/dev/fd"
}
scratch_run() { chroot "$SCRATCH" "$@"; }

scratch_device() {
  local etc=$SCRATCH/etc
  install -D -m 755 "$1" "$SCRATCH/usr/bin/cradle-device"
  install -D -m 644 "$LAB_ROOT/packaging/systemd/cradle-device.service" "$etc/systemd/system/cradle-device.service"
  install -D -m 644 "$CA" "$etc/cradle/ca.pem"
  sed "s/^SERVICE=.*/SERVICE=$LAB_SERVICE/; s/^ID_SCOPE=.*/ID_SCOPE=$ID_SCOPE/" "$LAB_ROOT/packaging/device.conf" \
    > "$etc/cradle/device.conf"
  install -D -m 755 -t "$etc/initramfs-tools/hooks" "$LAB_ROOT/packaging/initramfs-tools/hooks/cradle-device"
  install -D -m 755 -t "$etc/initramfs-tools/scripts/init-premount" \
    "$LAB_ROOT/packaging/initramfs-tools/scripts/init-premount/cradle-device"
}
