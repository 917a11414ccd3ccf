#!/bin/sh
# Builds the engine, QuickJS 2021-03-27 from the npm package qjsc@0.3.0 in $LOCKSTEP_NPM: build.sh ENGINE.wasm. Then
#	lockstep bundle ENGINE.wasm SCRIPT.js GUEST.wasm
# makes a guest of a script. Toolchain: clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 of Debian 12.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
cd "${LOCKSTEP_NPM:-$HOME/.cache/lockstep}/node_modules/qjsc/deps/quickjs_2021_03_27"
clang-14 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -O2 -w -fvisibility=hidden -DNDEBUG \
	-DEMSCRIPTEN -D_GNU_SOURCE -DCONFIG_VERSION='"2021-03-27"' -DCONFIG_BIGNUM -DFE_DOWNWARD=0 -DFE_UPWARD=0 -I. -I"$here/../c" \
	-Wl,--strip-all -Wl,-z,stack-size=1048576 -Wl,--stack-first -Wl,--export=ls_script \
	-o "$out" "$here/engine.c" quickjs.c cutils.c libregexp.c libunicode.c libbf.c
