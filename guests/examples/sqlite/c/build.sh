#!/bin/sh
# Builds the guest, with SQLite 3.53.2 as the npm package better-sqlite3@12.11.1 in $LOCKSTEP_NPM has it: build.sh GUEST.wasm
# Toolchain: clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 of Debian 12. It takes half a minute.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
amalgamation=${LOCKSTEP_NPM:-$HOME/.cache/lockstep}/node_modules/better-sqlite3/deps/sqlite3
if ! [ -f "$amalgamation/sqlite3.c" ]; then
	echo "$0: there is no $amalgamation/sqlite3.c: npm install --ignore-scripts better-sqlite3@12.11.1" >&2
	[ "${LOCKSTEP_TOOLCHAINS:-}" != all ] && exit 0 || exit 1
fi
cd "$amalgamation"
clang-14 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -Os -w -fvisibility=hidden -DNDEBUG -I. -I"$here/../../../sdk/c" \
	-DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_TEMP_STORE=3 -DSQLITE_DEFAULT_MEMSTATUS=0 \
	-DSQLITE_OMIT_DEPRECATED -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_DQS=0 -DSQLITE_ENABLE_MATH_FUNCTIONS \
	-Wl,--strip-all -Wl,-z,stack-size=1048576 -Wl,--stack-first -o "$out" "$here/sqlite.c" sqlite3.c
