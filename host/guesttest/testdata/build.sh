#!/bin/sh
# Builds the modules here with wat2wasm of Debian's wabt 1.0.32 and lists the digests of what went in and came out.
set -eu
cd "$(dirname "$0")"
for f in *.wat; do wat2wasm "$f" -o "${f%.wat}.wasm"; done
sha256sum *.wat *.wasm >SHA256SUMS
