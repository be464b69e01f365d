# wolfSSL, built once from Debian's pinned source for this machine or for arm64. Sourced.
#
#   wolfssl_provide                 build/deps/wolfssl
#   wolfssl_provide arm64           build/deps/wolfssl-arm64, with Debian's cross compiler
#   wolfssl_provide minimal         build/deps/wolfssl-minimal: what a device needs, and no more
#   wolfssl_provide minimal-arm64   build/deps/wolfssl-minimal-arm64
#
# Debian's binary has no assembly and is three times slower in the handshake, so the same source
# is built with it. Both archives are pinned: a Debian security update changes the second
# checksum, stops the build here, and wants its changelog read.
wolfssl_version=5.5.4-2+deb12u3
wolfssl_orig_sha256=b7ee150e49def77c765bc02aac92ddeb0bebefd4cb12aa263d8f95e405221fb8
wolfssl_debian_sha256=79565eb855d557eb062cb88b033b6fe96e2a6e598236021b81b9840bef5ab6f4

wolfssl_flags() {   # MACHINE: sets wolfssl_configure
  wolfssl_configure=(
    --enable-distro --enable-pkcs11
    --disable-examples --disable-dependency-tracking --enable-static --disable-shared --with-pic
    # Off against what a distribution enables: TLS 1.0 and 1.1, whose MD5 and SHA-1 would go over every
    # handshake, and tables of multiples of points, which help no key that is used only once.
    --disable-oldtls --disable-fpecc
    # Its own default is not to optimise at all. Seeds come by getrandom(2): no file to be opened for
    # each connection, none that can be missing, and it waits where the kernel is not seeded yet.
    'CFLAGS=-O3 -g -fstack-protector-strong -DWOLFSSL_GETRANDOM'
  )
  case $1 in
    x86_64) wolfssl_configure+=(--enable-intelasm --enable-sp=yes,asm --enable-sp-asm) ;;
    # Only what every ARMv8 has: the assembly of the curves and of RSA, no crypto extension.
    arm64) wolfssl_configure+=(--host=aarch64-linux-gnu --enable-sp=yes,asm --enable-sp-asm) ;;
  esac
}

# A client of TLS 1.3 with AES-128-GCM, SHA-256, P-256 and RSA-2048 that is verified. The hal reads the
# chain through the API like OpenSSL's; what it does not call of that is not linked, and does not
# even all exist beside this arithmetic, hence --gc-sections for the self-test.
wolfssl_minimal_flags() {   # MACHINE: sets wolfssl_configure
  wolfssl_configure=(
    --disable-examples --disable-dependency-tracking --enable-static --disable-shared --with-pic
    --enable-opensslextra --enable-sessioncerts --enable-singlethreaded
    --enable-tls13 --disable-tlsv12 --disable-oldtls --enable-sni --enable-supportedcurves --enable-hkdf
    --enable-ip-alt-name
    --enable-sp=small256,smallrsa2048,noasm --enable-sp-math --enable-aesgcm=small --enable-rsapss
    --disable-oaep --disable-dh --disable-md5 --disable-sha --disable-sha224 --disable-sha384
    --disable-sha512 --disable-sha3 --disable-chacha --disable-poly1305 --disable-des3 --disable-aescbc
    --disable-pkcs12 --disable-pwdbased --disable-enckeys --disable-extended-master
    --disable-enc-then-mac --disable-errorstrings --disable-errorqueue
    LDFLAGS=-Wl,--gc-sections
    "CFLAGS=-Os -g -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
      -fstack-protector-strong -DWOLFSSL_GETRANDOM -DNO_WOLFSSL_SERVER -DNO_SESSION_CACHE -DNO_PSK \
      -DNO_DSA -DNO_RC4 -DNO_MD4 -DNO_AES_192 -DNO_AES_256 -DWOLFSSL_AES_SMALL_TABLES -DUSE_SLOW_SHA256 \
      -DECC_USER_CURVES -DUSE_ECC_B_PARAM -DWOLFSSL_VALIDATE_ECC_IMPORT -DRSA_LOW_MEM \
      -DWOLFSSL_SIGNER_DER_CERT -DWC_HASH_CUSTOM_MIN_DIGEST_SIZE=20" # the self-test has a digest so short
  )
  [ "$1" != arm64 ] || wolfssl_configure+=(--host=aarch64-linux-gnu)
}

wolfssl_build() {   # NAME PREFIX
  local name=$1 prefix=$2 work run=()
  work=$(mktemp -d)
  trap 'rm -rf "$work"; trap - RETURN' RETURN
  echo "setup: building wolfSSL $wolfssl_version for $name (about two minutes, once)"
  private_apt_source "$work" wolfssl "$wolfssl_version" "$wolfssl_orig_sha256" "$wolfssl_debian_sha256"
  [[ $name != *arm64 ]] || run=(qemu-aarch64 -L /usr/aarch64-linux-gnu)
  (
    cd "$work/src" &&
    autoreconf -fi &&
    # First with the library's own self-test, which gates the assembly; then as installed.
    ./configure --prefix="$prefix.new" "${wolfssl_configure[@]}" --enable-crypttests &&
    make -j"$(nproc)" &&
    make wolfcrypt/test/testwolfcrypt &&
    # By libtool, since beside a shared library the program is a script that starts it.
    ./libtool --mode=execute "${run[@]}" wolfcrypt/test/testwolfcrypt &&
    make install &&
    # A --enable-distro build leaves this one out, and without it every struct has another size.
    install -m 644 wolfssl/options.h "$prefix.new/include/wolfssl/options.h"
  ) >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; echo "setup: wolfSSL did not build" >&2; return 1; }
  rm -rf "$prefix" && mv "$prefix.new" "$prefix"
}

wolfssl_provide() {
  local name=${1:-$(uname -m)} machine key prefix
  machine=${name#minimal-}
  [ "$machine" != minimal ] || machine=$(uname -m)
  case $name in
    minimal*) wolfssl_minimal_flags "$machine" ;;
    *) wolfssl_flags "$machine" ;;
  esac
  key=$(printf '%s\n' "$wolfssl_orig_sha256" "$wolfssl_debian_sha256" "$machine" \
          "${wolfssl_configure[@]}" | sha256sum | cut -c1-16)
  prefix=$cache/wolfssl-$key
  [ -f "$prefix/lib/libwolfssl.a" ] && [ -f "$prefix/include/wolfssl/options.h" ] ||
    wolfssl_build "$name" "$prefix"
  # What was compiled against another one must be older than this one, or it would not be again.
  [ "$(readlink "build/deps/wolfssl${1:+-$1}")" = "$prefix" ] ||
    touch "$prefix/include/wolfssl/options.h" "$prefix/lib/libwolfssl.a"
  ln -sfn "$prefix" "build/deps/wolfssl${1:+-$1}"
}
