#!/bin/sh
# Builds the kernels with clang 14 and lld 14 (Debian: clang-14 lld-14) and writes
# their digests. The same tools give the same bytes.
set -eu
cd "$(dirname "$0")"
for source in *.c; do
  clang-14 --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Werror \
    -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "${source%.c}.wasm" "$source"
done
sha256sum -- *.wasm >SHA256SUMS
