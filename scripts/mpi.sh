#!/usr/bin/env bash
# Training with several processes: builds the command with the feature mpi, checks its lints and documentation, and runs
# its tests under mpirun with 1, 2 and 4 ranks. `install` only installs what this needs: an MPI library, and libclang
# for its bindings (Debian's packages, as root). `tests` leaves out lints and documentation.
# usage: scripts/mpi.sh [install | tests]
set -euo pipefail
cd "$(dirname "$0")/.."

# bindgen looks for a library of this name in LIBCLANG_PATH and in LLVM's installations.
libclang() { [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang[-.][s0-9]*' >/dev/null; }
if ! command -v mpicc >/dev/null || ! command -v mpirun >/dev/null || ! libclang; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "MPI: skipped, this needs mpicc, mpirun and libclang (Debian: libopenmpi-dev openmpi-bin libclang-dev)"
        [ "${1:-}" != install ]
        exit
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends libopenmpi-dev openmpi-bin \
        libclang-dev >/dev/null
fi
mpirun --version | head -1
[ "${1:-}" != install ] || exit 0
if [ "${1:-}" != tests ]; then
    cargo clippy --quiet --all-targets -p sae -p sae-cli --features sae-cli/mpi -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet -p sae -p sae-cli --features sae-cli/mpi --no-deps
fi
cargo test -p sae -p sae-cli --features sae-cli/mpi --test leaving --test mpi
# The example, as its first lines say.
cargo build --quiet --features mpi,digits --example ranks
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2 \
    "${CARGO_TARGET_DIR:-target}/debug/examples/ranks"
