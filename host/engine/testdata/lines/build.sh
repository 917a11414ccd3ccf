#!/bin/sh
# Builds the guest with clang 14 and lld 14 (Debian: clang-14 lld-14), with DWARF.
set -eu
cd "$(dirname "$0")"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
clang-14 --target=wasm32 -O1 -g -ffreestanding -fdebug-prefix-map="$PWD"=. -Wall -Werror -c -o "$object" guest.c
wasm-ld-14 --no-entry -z stack-size=16384 -o guest.wasm "$object"
sha256sum guest.c guest.wasm >SHA256SUMS
