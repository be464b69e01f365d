# What the QEMU guests are made of: Debian's cloud kernels, and for arm64 the libraries to link
# with. Unpacked into the cache, not installed. Sourced.
#
#   guest_kernel_provide x86_64|arm64   build/deps/kernel-ARCH: vmlinuz, modules/
#   guest_sysroot_provide               build/deps/sysroot-arm64

guest_debian_arch() { if [ "$1" = x86_64 ]; then echo amd64; else echo "$1"; fi; }

guest_kernel_fetch() {   # ARCH PREFIX
  local debian work image
  debian=$(guest_debian_arch "$1")
  work=$(mktemp -d)
  trap 'rm -rf "$work"; trap - RETURN' RETURN
  private_apt_open "$work/apt" "$debian" deb
  # The newest kernel is what Debian's own metapackage depends on.
  image=$(private_apt cache show "linux-image-cloud-$debian" |
    sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | sed -n 1p)
  [ -n "$image" ] || { echo "setup: no cloud kernel for $1" >&2; return 1; }
  echo "setup: fetching $image for the guest (once)"
  private_apt_unpack "$work/tree" "$image"
  rm -rf "$2" && mkdir -p "$2.new"
  mv "$work"/tree/boot/vmlinuz-* "$2.new/vmlinuz"
  mv "$work"/tree/lib/modules/*/kernel "$2.new/modules"
  echo "${image#linux-image-}" > "$2.new/version"
  mv "$2.new" "$2"
}

guest_kernel_provide() {
  local prefix=$cache/kernel-$1
  [ -f "$prefix/version" ] || guest_kernel_fetch "$1" "$prefix"
  ln -sfn "$prefix" "build/deps/kernel-$1"
}

# What the device links with and loads; its libc is the cross compiler's.
guest_sysroot_packages=(
  libtss2-dev libtss2-mu0 libtss2-sys1 libtss2-tctildr0 libtss2-tcti-device0
  libcjson-dev libcjson1 libpaho-mqtt-dev
)

guest_sysroot_fetch() {   # PREFIX
  local work
  work=$(mktemp -d)
  trap 'rm -rf "$work"; trap - RETURN' RETURN
  echo "setup: fetching arm64 libraries for the guest (once)"
  private_apt_open "$work/apt" arm64 deb
  private_apt_unpack "$work/tree" "${guest_sysroot_packages[@]}"
  rm -rf "$1" && mv "$work/tree" "$1"
}

guest_sysroot_provide() {
  local prefix
  prefix=$cache/sysroot-arm64-$(printf '%s\n' "${guest_sysroot_packages[@]}" | sha256sum | cut -c1-16)
  [ -d "$prefix/usr" ] || guest_sysroot_fetch "$prefix"
  ln -sfn "$prefix" build/deps/sysroot-arm64
}
