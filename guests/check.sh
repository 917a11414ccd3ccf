#!/bin/sh
# Rebuilds the committed guests and compares: a replica's guest is named by its digest, so that a reader must be able to get from
# its source to it. Run it with "write" to take what was built, and commit that.
set -eu
cd "$(dirname "$0")"
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
./build.sh "$built"
wrong=0
for module in "$built"/*/*.wasm; do
	name=${module#"$built"/}
	if [ "${1:-}" = write ]; then
		cp "$module" "examples/$name"
	elif ! cmp -s "$module" "examples/$name"; then
		echo "guests/examples/$name is not what guests/build.sh makes: run guests/check.sh write" >&2
		wrong=1
	fi
done
[ "${1:-}" != write ] || (cd examples && sha256sum -- */*.wasm >SHA256SUMS)
[ "$wrong" = 0 ] && echo "guests: $(ls "$built"/*/*.wasm | wc -l) modules rebuilt, all as committed"
