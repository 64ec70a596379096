#!/usr/bin/env bash
# What would be published: the packages of all crates. Fails if one has no license or README, has files that no user needs, is
# larger than 2 MB, or has versions that differ. `verify` also compiles each package as crates.io's users would. `address URL`
# sets the address of the repository, in the manifests and in the links of the READMEs, which are relative until then.
# usage: scripts/package.sh [verify | address URL]
set -euo pipefail
cd "$(dirname "$0")/.."
published=(sae-kernels sae sae-report sae-cli sae-capi)
readmes=(README.md kernels/README.md cli/README.md cli/report/README.md capi/README.md python/README.md)
field() { sed -n "/^\[workspace.package\]/,/^\[/s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml; }
address=$(field repository)

if [ "${1:-}" = address ]; then
    new=${2:?usage: scripts/package.sh address URL}
    new=${new%/}
    sed -i "s|\"$address\"|\"$new\"|" Cargo.toml python/pyproject.toml
    # ![picture](path) and [text](path); a path with a scheme, or a place in the page, is left alone.
    for readme in "${readmes[@]}"; do
        folder=$(dirname "$readme")
        sed -i -E "s|\($address/|($new/|g; s|(!\[[^]]*\])\((\./)?([A-Za-z0-9_./-]+)\)|\1($new/raw/HEAD/$folder/\3)|g
            s|(\[[^]]*\])\((\./)?([A-Za-z0-9_./-]+)\)|\1($new/blob/HEAD/$folder/\3)|g; s|/HEAD/\./|/HEAD/|g" "$readme"
    done
    echo "set $new; look at the links with git diff"
    exit
fi

if [ "$address" = https://example.com/sae ]; then
    echo "the repository's address is a placeholder: before publishing, scripts/package.sh address URL sets it, here and in links"
elif grep -nE '\]\((\./)?[A-Za-z0-9_./-]+\)' "${readmes[@]}"; then
    echo "these links are relative, and would lead nowhere on crates.io and PyPI: run scripts/package.sh address $address"
    exit 1
fi
version=$(field version)
grep -q "^version = \"$version\"" python/Cargo.toml || { echo "python/Cargo.toml has another version than $version"; exit 1; }
if grep -nE 'path = .*version = ' Cargo.toml | grep -v "\"$version\""; then
    echo "these dependencies in Cargo.toml have another version than $version"
    exit 1
fi
grep -q "^## ${version//./\\.}" CHANGELOG.md || { echo "CHANGELOG.md has no section of $version"; exit 1; }
for folder in kernels cli cli/report capi python; do
    for license in LICENSE-MIT LICENSE-APACHE; do
        cmp "$license" "$folder/$license"
    done
done

arguments=(--quiet --allow-dirty)
[ "${1:-}" = verify ] || arguments+=(--no-verify)
for name in "${published[@]}"; do arguments+=(-p "$name"); done
cargo package "${arguments[@]}"
for name in "${published[@]}"; do
    file=${CARGO_TARGET_DIR:-target}/package/$name-$version.crate
    files=$(tar -tzf "$file" | sed 's|^[^/]*/||')
    for needed in LICENSE-MIT LICENSE-APACHE README.md; do
        grep -qx "$needed" <<<"$files" || { echo "$name: its package has no $needed"; exit 1; }
    done
    if grep -E '^(\.ci|benches|fuzz|scripts|python|tests/(library|exchange|browser)|docs/[a-z_]*\.md)' <<<"$files"; then
        echo "$name: its package has these files, which no user needs: see 'include' in its Cargo.toml"
        exit 1
    fi
    size=$(stat -c %s "$file")
    [ "$size" -le 2000000 ] || { echo "$name: its package has $size bytes, more than 2 MB"; exit 1; }
    echo "$name-$version: $(wc -l <<<"$files") files, $((size / 1024)) KiB compressed"
done
