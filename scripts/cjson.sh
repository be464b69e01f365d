# cJSON as an archive, which Debian's packages lack, for the minimal device: built once from Debian's
# pinned source. Sourced.
#
#   cjson_provide minimal         build/deps/cjson-minimal
#   cjson_provide minimal-arm64   build/deps/cjson-minimal-arm64
cjson_version=1.7.15-1+deb12u4
cjson_orig_sha256=5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2
cjson_debian_sha256=afd19a970966cf534ff1e9ec077d710a5e7e78eb4ec9b499c8bdc32e55da12cb
cjson_cflags=(-Os -g -fPIC -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
              -fstack-protector-strong)

cjson_build() {   # NAME PREFIX
  local work tools=
  work=$(mktemp -d)
  trap 'rm -rf "$work"; trap - RETURN' RETURN
  [[ $1 != *arm64 ]] || tools=aarch64-linux-gnu-
  private_apt_source "$work" cjson "$cjson_version" "$cjson_orig_sha256" "$cjson_debian_sha256"
  rm -rf "$2.new"
  mkdir -p "$2.new/lib" "$2.new/include/cjson"
  "${tools}gcc" "${cjson_cflags[@]}" -c "$work/src/cJSON.c" -o "$work/cJSON.o"
  "${tools}ar" rcsD "$2.new/lib/libcjson.a" "$work/cJSON.o"
  cp "$work/src/cJSON.h" "$2.new/include/cjson/"
  rm -rf "$2" && mv "$2.new" "$2"
}

cjson_provide() {
  local prefix
  prefix=$cache/cjson-$(printf '%s\n' "$cjson_orig_sha256" "$cjson_debian_sha256" "$1" \
                          "${cjson_cflags[@]}" | sha256sum | cut -c1-16)
  [ -d "$prefix" ] || cjson_build "$1" "$prefix"
  ln -sfn "$prefix" "build/deps/cjson-$1"
}
