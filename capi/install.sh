#!/usr/bin/env bash
# Builds the C library and installs it under PREFIX, as `cargo cinstall` (cargo-c) does, with cargo only:
# include/sae.h, lib/libsae.so and libsae.a, lib/pkgconfig/sae.pc. Linux only; on other systems use
# `cargo cinstall --release -p sae-capi --prefix PREFIX`.
# usage: capi/install.sh PREFIX
set -euo pipefail
prefix=$(realpath -m "${1:?usage: capi/install.sh PREFIX}")
cd "$(dirname "$0")/.."
if [ "$(uname -s)" != Linux ]; then
    echo "capi/install.sh supports Linux only; on other systems run cargo install cargo-c, then:"
    echo "cargo cinstall --release -p sae-capi --prefix $prefix"
    exit 1
fi
version=$(cargo pkgid -p sae-capi | sed 's/.*[#@]//')
# Before version 1 every minor version may change the ABI.
soname=libsae.so.${version%.*}
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
cargo rustc --release -p sae-capi --lib --features capi --crate-type cdylib,staticlib -- \
    -C link-arg="-Wl,-soname,$soname" --print native-static-libs 2>"$messages" ||
    { cat "$messages" >&2; exit 1; }
private=$(sed -n 's/.*native-static-libs: //p' "$messages" | tail -n 1)
built=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
install -m 644 capi/include/sae.h "$prefix/include/sae.h"
install -m 644 "$built/libsae_capi.a" "$prefix/lib/libsae.a"
install -m 755 "$built/libsae_capi.so" "$prefix/lib/libsae.so.$version"
ln -sf "libsae.so.$version" "$prefix/lib/$soname"
ln -sf "libsae.so.$version" "$prefix/lib/libsae.so"
cat >"$prefix/lib/pkgconfig/sae.pc" <<EOF
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: sae
Description: Sparse autoencoders on the CPU
Version: $version
Libs: -L\${libdir} -lsae
Cflags: -I\${includedir}
Libs.private: $private
EOF
echo "installed under $prefix"
