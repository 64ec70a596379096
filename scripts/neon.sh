#!/usr/bin/env bash
# Runs the kernels' tests, and those of the recorded bits, on NEON: compiled for aarch64 and run in an emulator. With
# `article`, only the network of the article (README.md), which takes some minutes. usage: scripts/neon.sh [article]
# Debian on x86-64, as root (it installs a compiler for aarch64 and an emulator); elsewhere it skips.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname -m)" = aarch64 ]; then
    exec cargo test --release -p sae-kernels
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "NEON: skipped, this needs Debian's packages and root"
    exit 0
fi
if [ ! -x /usr/bin/qemu-aarch64 ] || [ ! -d /usr/lib/rustlib/aarch64-unknown-linux-gnu ]; then
    dpkg --add-architecture arm64
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends rustc-web \
        libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >/dev/null
fi
export RUSTC=/usr/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Linked statically: with glibc's shared libraries this emulator hangs when a thread is started.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/neon
# A case takes many times as long in the emulator.
export PROPTEST_CASES=${PROPTEST_CASES:-16}
if [ "${1:-}" = article ]; then
    exec cargo test --release --target aarch64-unknown-linux-gnu -p sae --no-default-features --features digits \
        --test library -- --ignored --nocapture the_articles_network_in_one_way
fi
# Skipped: a test that starts itself again, which would need the emulator for that.
cargo test --release --target aarch64-unknown-linux-gnu -p sae-kernels --lib --tests -- --skip the_environment_chooses
# Without files and checkpoints; the recorded hash of the small network is among these tests.
cargo test --release --target aarch64-unknown-linux-gnu -p sae --no-default-features --test library -- same_bits::
