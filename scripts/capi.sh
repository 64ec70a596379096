#!/usr/bin/env bash
# Tests the C library as C programs use it. capi/include/sae.h must be what cbindgen makes from capi/src
# (`scripts/capi.sh write` makes it). Then, with a C compiler: capi/install.sh installs into an empty prefix, and the
# programs of capi/examples and capi/tests are compiled in an empty folder with the flags of pkg-config alone, against
# the shared and the static library; they run, and run under valgrind without a leak.
# usage: scripts/capi.sh [write]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
[ "$(cbindgen --version 2>/dev/null)" = "cbindgen 0.29.4" ] || cargo install --quiet --locked --debug cbindgen@0.29.4
header() { cbindgen --quiet --config capi/cbindgen.toml --lockfile Cargo.lock --crate sae-capi --output "$1" capi; }
if [ "${1:-}" = write ]; then
    header capi/include/sae.h
    exit
fi
header "$folder/sae.h"
if ! diff -u capi/include/sae.h "$folder/sae.h"; then
    echo "capi/include/sae.h is out of date: run scripts/capi.sh write"
    exit 1
fi
echo "capi/include/sae.h is up to date"

for tool in gcc pkg-config; do
    if ! command -v $tool >/dev/null; then
        echo "C programs: skipped, there is no $tool"
        exit 0
    fi
done
capi/install.sh "$folder/prefix"
shared=$folder/prefix static=$folder/static
# A prefix that has only the static library.
cp -r "$shared" "$static"
rm "$static"/lib/libsae.so*
sed -i "s|^prefix=.*|prefix=$static|" "$static/lib/pkgconfig/sae.pc"

declared=$(grep -o '\bsae_[a-z0-9_]*(' "$shared/include/sae.h" | tr -d '(' | sort -u)
exported=$(nm -D --defined-only "$shared/lib/libsae.so" | awk '{ print $3 }' | sort)
diff <(echo "$declared") <(echo "$exported") || { echo "the library's symbols differ from the header's functions"; exit 1; }
echo "$(echo "$exported" | wc -l) functions, in the header and in the library"

mkdir "$folder/c"
cd "$folder/c"
cp "$root"/capi/examples/train_digits.c "$root"/capi/tests/misuse.c .
# The first program in docs/c.md.
awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' "$root/docs/c.md" >page.c
# Its other pieces of code, with the declarations that they need.
{
    sed '/^int main/,$d' page.c
    echo 'int main(void) {'
    echo 'SaeTrainer *trainer;'
    echo 'enum { m = 3, k = 4, n = 5 };'
    echo 'static float a[m * k], b[k * n], c[m * n];'
    awk '/^```c$/ { block++; inside = 1; next } /^```$/ { inside = 0 } inside && block > 1' "$root/docs/c.md"
    echo 'sae_trainer_free(trainer); sae_samples_free(all); sae_samples_free(train); sae_samples_free(test);'
    echo '}'
} >pieces.c
strict="-Wall -Wextra -Wpedantic -Werror -O1 -g"
for kind in shared static; do
    export PKG_CONFIG_PATH=${!kind}/lib/pkgconfig
    flags=$(pkg-config --cflags --libs $([ $kind = shared ] || echo --static) sae)
    for program in train_digits misuse page pieces; do
        # shellcheck disable=SC2086
        gcc -std=c11 $strict $program.c $flags -lm -o $program-$kind
    done
    if [ $kind = shared ]; then export LD_LIBRARY_PATH=$shared/lib; else unset LD_LIBRARY_PATH; fi
    printf '\n== gcc, %s library, %s bytes\n' $kind "$(stat -c %s train_digits-$kind)"
    ./misuse-$kind
    ./pieces-$kind
    ./train_digits-$kind 300 $kind.safetensors
done
# Different libraries, the same model.
cmp shared.safetensors static.safetensors
if command -v g++ >/dev/null; then
    printf '#include <sae.h>\nint main() { return sae_version()[0] == 0; }\n' >plus.cc
    # shellcheck disable=SC2086
    g++ -std=c++17 $strict plus.cc $flags -o plus
    ./plus
    printf '\n== g++ accepts the header\n'
fi

for tool in cmake valgrind; do
    if ! command -v $tool >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $tool libc6-dbg >/dev/null
    fi
done
if command -v cmake >/dev/null; then
    mkdir cmake
    cat >cmake/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(programs C)
find_package(sae 0.2 CONFIG REQUIRED)
foreach(target sae static)
  if(TARGET sae::${target})
    add_executable(misuse-${target} ../misuse.c)
    target_link_libraries(misuse-${target} PRIVATE sae::${target} m)
  endif()
endforeach()
END
    printf '\n== cmake\n'
    cmake -S cmake -B cmake/built -DCMAKE_PREFIX_PATH="$shared" -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build cmake/built >/dev/null
    cmake/built/misuse-sae
    cmake/built/misuse-static
    sed 's/sae 0.2 /sae 0.1 /' cmake/CMakeLists.txt >CMakeLists.txt
    if cmake -S . -B other -DCMAKE_PREFIX_PATH="$shared" >/dev/null 2>&1; then
        echo "cmake found another minor version than the one asked for"
        exit 1
    fi
else
    echo "cmake: skipped, it is not installed"
fi

if ! command -v valgrind >/dev/null; then
    echo "valgrind: skipped, it is not installed"
    exit 0
fi
export LD_LIBRARY_PATH=$shared/lib
# What Rust's standard library keeps of a thread that it has not started, 48 bytes until the process ends, made
# where a step waits for a batch that another thread reads.
cat >thread.supp <<'END'
{
   handle-of-a-foreign-thread
   Memcheck:Leak
   match-leak-kinds: possible
   fun:malloc
   ...
   fun:*init_current*
}
END
# (valgrind 3.19 has no AVX-512; the library uses the fastest set that valgrind reports.)
for command in ./misuse-shared ./pieces-shared "./train_digits-shared 3"; do
    printf '\n== valgrind %s\n' "$command"
    # shellcheck disable=SC2086
    valgrind --quiet --suppressions=thread.supp --leak-check=full --show-leak-kinds=all --error-exitcode=1 \
        --errors-for-leak-kinds=definite,indirect,possible $command
done
