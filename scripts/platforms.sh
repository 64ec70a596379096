#!/usr/bin/env bash
# Other platforms than this one. Checked by the compiler, with the standard library that is installed for the target or
# one compiled from Debian's sources: Windows, macOS, WebAssembly, and the kernels on bare ARM. Run in an emulator: the
# tests of the kernels and of the readers of data on 32-bit ARM, and scripts/neon.sh on aarch64. What is skipped is named.
# usage: scripts/platforms.sh [check|run|short]   (without: check and run; short: the kernels on bare 32-bit ARM alone)
# Debian on x86-64, as root (it installs a compiler, its sources and an emulator); elsewhere it checks what is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
target_folder=${CARGO_TARGET_DIR:-target}/platforms
sources=/usr/lib/rustlib/src/rust/library/core

# Installs Debian's packages that are missing; fails if it cannot.
packages() {
    dpkg --status "$@" >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# cargo with Debian's compiler, which also compiles the standard library (unstable in cargo, hence the variable).
cargo_with_sources() {
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$target_folder cargo "$@"
}

# check TARGET STD PACKAGE-AND-FEATURES...: STD is core,alloc or std.
check() {
    local target=$1 std=$2
    shift 2
    printf '\n== cargo check --target %s %s\n' "$target" "$*"
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
        CARGO_TARGET_DIR=$target_folder cargo check --quiet --target "$target" "$@"
    elif packages rustc-web rust-web-src && [ -d $sources ]; then
        cargo_with_sources check --quiet "-Zbuild-std=$std" --target "$target" "$@"
    else
        echo "$target: skipped, the toolchain has no standard library for it and Debian's sources cannot be installed"
    fi
}

bare=(-p sae-kernels --no-default-features --features libm)
if [ "$what" = short ]; then
    check thumbv7em-none-eabi core,alloc "${bare[@]}"
    exit
fi
if [ "$what" != run ]; then
    check thumbv7em-none-eabi core,alloc "${bare[@]}"
    check aarch64-unknown-none core,alloc "${bare[@]}"
    check wasm32-unknown-unknown std -p sae
    check x86_64-pc-windows-gnu std -p sae
    check aarch64-apple-darwin std -p sae
fi
if [ "$what" = check ]; then
    exit
fi

printf '\n== 32-bit ARM, emulated\n'
if packages rustc-web rust-web-src gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user && [ -d $sources ]; then
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc
    # As in scripts/neon.sh.
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUSTFLAGS="-C target-feature=+crt-static"
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER=qemu-arm
    export PROPTEST_CASES=${PROPTEST_CASES:-16}
    arm=(test --release -Zbuild-std --target armv7-unknown-linux-gnueabihf)
    # Skipped: a test that starts itself again, which would need the emulator for that.
    cargo_with_sources "${arm[@]}" -p sae-kernels --tests -- --skip the_environment_chooses
    # The readers of data, and the recorded hash of the small network.
    cargo_with_sources "${arm[@]}" -p sae --no-default-features --features gz --lib -- data::
    cargo_with_sources "${arm[@]}" -p sae --no-default-features --test library -- same_bits::
else
    echo "32-bit ARM: skipped, this needs Debian's packages and root"
fi
printf '\n== aarch64, emulated\n'
scripts/neon.sh
