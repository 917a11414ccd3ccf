#!/bin/sh
# Builds the guests into the folder that is named, or this one. The toolchain is pinned: another one gives other bytes.
set -eu
cd "$(dirname "$0")"
out=$(cd "${1:-.}" && pwd)
for v in v1 v2; do
	GOTOOLCHAIN=go1.26.8 GOFLAGS= GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 \
		go build -buildmode=c-shared -trimpath -ldflags='-s -w -buildid=' -buildvcs=false -o "$out/kv-$v.wasm" "./$v"
done
