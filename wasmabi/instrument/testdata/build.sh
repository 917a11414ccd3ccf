#!/bin/sh
# Builds the modules of the tests from their text, with wat2wasm of wabt 1.0.32, and lists their digests.
set -eu
cd "$(dirname "$0")"
for f in *.wat; do
	wat2wasm "$f" -o "${f%.wat}.wasm"
done
sha256sum *.wat *.wasm >SHA256SUMS
