#!/bin/sh
# Builds the kernels with clang 14 and lld 14 (Debian: clang-14 lld-14) and writes
# their digests. The same tools give the same bytes. Compiled and linked apart, for
# clang as linker runs wasm-opt where there is one.
set -eu
cd "$(dirname "$0")"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
for source in *.c; do
  clang-14 --target=wasm32 -O2 -ffreestanding -fno-builtin -Wall -Werror -c -o "$object" "$source"
  wasm-ld-14 --no-entry --strip-all -z stack-size=16384 -o "${source%.c}.wasm" "$object"
done
sha256sum -- *.wasm >SHA256SUMS
