package differential

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/wasmabi/instrument"
)

// What the store comes to after the first 1,000 inputs of the replay, for every engine and CPU (`make arm64`).
// Another build of the guest, profile or price of gas changes them.
const (
	committedRoot = "2032d35cdfdb0ff061707b40fbee29667887608a5202263924a844c6574fd6b6"
	committedGas  = 90_341_877
	// The SHA-256 digest of the instrumented guest.
	committedModule = "380adccc0236e614947ebb378442eef59a843c2b713e6d640bbcfc9b48495319"
)

func TestReplayRoot(t *testing.T) {
	m, err := instrument.Instrument(kv.V2, instrument.Config{MaxMemoryPages: host.DefaultMaxMemory, Contract: true})
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(m.Wasm); hex.EncodeToString(digest[:]) != committedModule {
		t.Errorf("the instrumented guest digests to %x, want %s", digest, committedModule)
	}
	for _, kind := range []engine.Kind{engine.Compiler, engine.Interpreter} {
		_, answers, root := recordRun(t, kind, inputs()[:1001])
		var gas uint64
		for _, a := range answers {
			used, err := strconv.ParseUint(a.Gas, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			gas += used
		}
		got := hex.EncodeToString(root[:])
		if got != committedRoot || gas != committedGas {
			t.Errorf("%v: root %s after %d gas, want %s after %d", kind, got, gas, committedRoot, committedGas)
		}
	}
}
