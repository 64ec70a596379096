#!/usr/bin/env bash
# Builds the C library and installs it under PREFIX, as `cargo cinstall` (cargo-c) does, with cargo only:
# include/sae.h, lib/libsae.so and libsae.a, lib/pkgconfig/sae.pc, lib/cmake/sae. Linux only; on other systems use
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
# Most of the static library is debug information of the standard library.
! command -v strip >/dev/null || strip --strip-debug "$prefix/lib/libsae.a"
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
mkdir -p "$prefix/lib/cmake/sae"
# `find_package(sae 0.2 CONFIG)` has the targets sae::sae, the shared library, and sae::static, each where it is installed.
cat >"$prefix/lib/cmake/sae/sae-config.cmake" <<EOF
get_filename_component(_sae_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
foreach(_sae_kind shared static)
  set(_sae_target sae::\${_sae_kind})
  set(_sae_file "\${_sae_prefix}/lib/libsae.a")
  if(_sae_kind STREQUAL shared)
    set(_sae_target sae::sae)
    set(_sae_file "\${_sae_prefix}/lib/libsae.so")
  endif()
  if(EXISTS "\${_sae_file}" AND NOT TARGET \${_sae_target})
    string(TOUPPER \${_sae_kind} _sae_type)
    add_library(\${_sae_target} \${_sae_type} IMPORTED)
    set_target_properties(\${_sae_target} PROPERTIES IMPORTED_LOCATION "\${_sae_file}"
      INTERFACE_INCLUDE_DIRECTORIES "\${_sae_prefix}/include")
    if(_sae_kind STREQUAL shared)
      set_target_properties(\${_sae_target} PROPERTIES IMPORTED_SONAME "$soname")
    else()
      set_target_properties(\${_sae_target} PROPERTIES INTERFACE_LINK_LIBRARIES "$private")
    endif()
  endif()
endforeach()
EOF
# Before version 1 another minor version is another API.
cat >"$prefix/lib/cmake/sae/sae-config-version.cmake" <<EOF
set(PACKAGE_VERSION $version)
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION_MAJOR EQUAL ${version%%.*} AND NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION
    AND (PACKAGE_FIND_VERSION_COUNT LESS 2 OR PACKAGE_FIND_VERSION_MINOR EQUAL $(cut -d. -f2 <<<"$version")))
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
EOF
echo "installed under $prefix"
