#!/bin/sh
# Builds the module here with wat2wasm of Debian's wabt 1.0.32.
set -eu
cd "$(dirname "$0")"
wat2wasm saves.wat -o saves.wasm
sha256sum saves.wat saves.wasm >SHA256SUMS
