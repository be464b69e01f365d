# Packages of Debian for this or another architecture, fetched and unpacked but not installed: with
# lists of their own, so that the machine's apt stays as it is. Sourced.
#
#   private_apt_open DIR ARCH deb|deb-src   lists in DIR, from the archives this machine uses
#   private_apt get|cache ARGUMENT…         apt-get, apt-cache with them
#   private_apt_unpack DIR PACKAGE…         newest versions, as dpkg -x would
#   private_apt_source DIR NAME VERSION ORIG_SHA256 DEBIAN_SHA256
#                                           Debian's source, patched, in DIR/src; pinned

private_apt_open() {
  private_apt_dir=$1 private_apt_arch=$2
  mkdir -p "$1/lists/partial" "$1/archives/partial"
  private_apt_archives "$3" > "$1/sources.list"
  if [ ! -s "$1/sources.list" ]; then   # what apt knows of them is in its lists, which may be cleared
    as_root apt-get -qq update
    private_apt_archives "$3" > "$1/sources.list"
  fi
  [ -s "$1/sources.list" ] || { echo "setup: apt knows no Debian archive" >&2; return 1; }
  private_apt get update
}

private_apt_archives() {   # deb|deb-src
  apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' |
    awk -v kind="$1" -F'|' '$1=="Packages" && $2=="Debian" && $5=="main" {print kind, $3, $4, $5}' |
    sort -u
}

private_apt() {
  local tool=apt-$1 dir=$private_apt_dir; shift
  "$tool" -qq -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$dir/lists" -o "Dir::Cache::archives=$dir/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
    -o "APT::Architecture=$private_apt_arch" -o "APT::Architectures=$private_apt_arch" "$@"
}

private_apt_unpack() {
  local into=$1 deb; shift
  mkdir -p "$into" "$private_apt_dir/debs"
  (cd "$private_apt_dir/debs" && rm -f ./*.deb && private_apt get download "$@")
  for deb in "$private_apt_dir"/debs/*.deb; do dpkg -x "$deb" "$into"; done
}

private_apt_source() {
  local dir=$1 name=$2 version=$3
  private_apt_open "$dir/apt" "$(dpkg --print-architecture)" deb-src
  (cd "$dir" && private_apt get --download-only source "$name=$version")
  (cd "$dir" && printf '%s  %s\n' "$4" "${name}_${version%-*}.orig.tar.gz" \
     "$5" "${name}_$version.debian.tar.xz" | sha256sum --check --quiet) || {
    echo "setup: the source of $name is not the one pinned in scripts/" >&2; return 1; }
  (cd "$dir" && dpkg-source --no-check -x ./*.dsc src >/dev/null)
}
