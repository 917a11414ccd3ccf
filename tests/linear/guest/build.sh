#!/bin/sh
# Builds the guest with clang 14 and lld 14 (Debian: clang-14 lld-14) and writes its
# digest. The same tools give the same bytes.
set -eu
cd "$(dirname "$0")"
clang-14 --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Werror \
  -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o guest.wasm guest.c
sha256sum -- guest.wasm >SHA256SUMS
