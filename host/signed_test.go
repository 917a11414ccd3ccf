package host_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// signedBench is a machine of mode signed.
func signedBench(t *testing.T) *bench {
	t.Helper()
	wasm := probe(t)
	w := newWorld(t, wasm)
	b := newBench(t, w)
	var d host.Deploy
	if err := host.DeployFormat.Decode(deployment(wasm), &d); err != nil {
		t.Fatal(err)
	}
	d.Config.Mode = audit.Signed
	if _, r := b.apply(control(1, host.ControlDeploy, host.DeployFormat.Encode(d))); r[0].Status != wasmabi.OK {
		t.Fatalf("deploy: %+v", r[0])
	}
	return b
}

func signedBatch(k ed25519.PrivateKey, number uint64, payload []byte) host.Batch {
	return host.Batch{
		Session: host.Session{Client: host.ClientID(k.Public().(ed25519.PublicKey)), Floor: 1},
		Inputs:  []host.Input{{Number: number, Payload: payload}},
	}
}

// An input that its client did not sign is refused, changes nothing and leaves
// the client's session alone; one that is repeated by another is applied once.
func TestSignedInputs(t *testing.T) {
	b := signedBench(t)
	alice, mallory := key(1), key(2)
	first := signedBatch(alice, 1, cmd(1)).Sign("test", alice)
	_, r := b.apply(first)
	if r[0].Status != wasmabi.OK {
		t.Fatalf("signed input: %+v", r[0])
	}
	counted := number(t, r[0])
	before := b.Root()

	forged := signedBatch(alice, 2, cmd(1))
	forged.Session.Floor = 1000 // would make alice's retries come too late
	flipped := signedBatch(alice, 2, cmd(1)).Sign("test", alice)
	flipped = bytes.Replace(flipped, cmd(1), cmd(7), 1)
	short := signedBatch(alice, 2, cmd(1))
	short.Signature = []byte{1}
	control := host.Control{Session: signedBatch(alice, 2, nil).Session, Number: 2, Kind: host.ControlCheckpoint}
	for name, data := range map[string][]byte{
		"unsigned":                     forged.Encode(),
		"signed by another":            forged.Sign("test", mallory),
		"signed for another machine":   forged.Sign("other", alice),
		"changed after it was signed":  flipped,
		"with a short signature":       short.Encode(),
		"control, unsigned":            control.Encode(),
		"control, signed by another":   control.Sign("test", mallory),
		"control, for another machine": control.Sign("other", alice),
	} {
		tr, r := b.apply(data)
		if r[0].Status != wasmabi.Refused || host.Refusal(r[0].Code) != host.RefusedSignature || tr.Checkpoint != nil {
			t.Errorf("%s: %+v, want refused for its signature", name, r[0])
		}
	}
	if after := b.MemoryAndGlobals(); len(after) == 0 || b.Root() == before {
		t.Error("the log moved, and the root did not") // the root covers seq and chain
	}
	// Whoever publishes the very bytes again gets nothing but the first receipt.
	if _, r := b.apply(first); !r[0].Duplicate || number(t, r[0]) != counted {
		t.Errorf("replayed: %+v, want the first receipt", r[0])
	}
	if _, r := b.apply(signedBatch(alice, 2, cmd(1)).Sign("test", alice)); r[0].Status != wasmabi.OK || number(t, r[0]) != counted+1 {
		t.Errorf("next signed input: %+v, want %d", r[0], counted+1)
	}
	if _, r := b.apply(control.Sign("test", alice)); r[0].Status != wasmabi.OK && !r[0].Duplicate {
		t.Errorf("signed control input: %+v", r[0])
	}
}

func BenchmarkSigned(b *testing.B) {
	k := key(1)
	batch := signedBatch(k, 1, make([]byte, 128))
	for range 255 {
		batch.Inputs = append(batch.Inputs, batch.Inputs[0])
	}
	data := batch.Sign("test", k)
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			batch.Sign("test", k)
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			batch.Encode()
		}
	})
	e := entryOf(data)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			host.Parse("test", e)
		}
	})
	b.Run("parse and check", func(b *testing.B) {
		for b.Loop() {
			if !host.Parse("test", e).Signed() {
				b.Fatal("not signed")
			}
		}
	})
}

func entryOf(data []byte) ordering.Entry {
	return ordering.Entry{Epoch: 1, Seq: 1, Time: 1, Data: data}
}
