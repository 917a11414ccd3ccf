//go:build !wasip1

package kv

import _ "embed"

// The built guests.
var (
	//go:embed kv-v1.wasm
	V1 []byte
	//go:embed kv-v2.wasm
	V2 []byte
)
