package host

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"lockstep/wasmabi"
)

// sameBatch checks that a batch decodes as the library decodes it, whatever the bytes are, and encodes alike.
func sameBatch(t testing.TB, data []byte) {
	t.Helper()
	var want Batch
	refused := BatchFormat.Decode(data, &want)
	got, err := DecodeBatch(data)
	outside := len(want.Inputs) == 0 || len(want.Inputs) > MaxBatch
	for _, in := range want.Inputs {
		outside = outside || checkInput(in) != nil
	}
	if (err == nil) != (refused == nil && !outside) {
		t.Fatalf("%x: %v, the library: %v", data, err, refused)
	}
	if err == nil && (!bytes.Equal(got.Encode(), data) || !bytes.Equal(BatchFormat.Encode(got), data)) {
		t.Fatalf("%x decodes to what encodes as %x", data, got.Encode())
	}
}

// sameReceipts is sameBatch of receipts.
func sameReceipts(t testing.TB, data []byte) {
	t.Helper()
	var want []Receipt
	refused := ReceiptsFormat.Decode(data, &want)
	got, err := DecodeReceipts(data)
	if (err == nil) != (refused == nil && len(want) > 0) {
		t.Fatalf("%x: %v, the library: %v", data, err, refused)
	}
	if err == nil && (!reflect.DeepEqual([]Receipt(got), want) || !bytes.Equal(got.Encode(), data)) {
		t.Fatalf("%x decodes to %v, want %v", data, got, want)
	}
}

// plain are encodings with numbers and lengths of all sizes.
func plain() (batches, receipts [][]byte) {
	edges := []uint64{1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64}
	for i, n := range edges {
		b := Batch{Session: Session{Client: ClientID{byte(i)}, Opened: 1 << i, Floor: n, Responder: edges[len(edges)-1-i]}, Signature: make([]byte, i*7)}
		list := Receipts{{Number: n, Status: wasmabi.Status(i), Code: uint32(n), Trap: wasmabi.Trap(n), Gas: n, Duplicate: i%2 == 0, Output: make([]byte, i)}}
		for k := range i + 1 {
			b.Inputs = append(b.Inputs, Input{Number: n, Payload: make([]byte, min(n, 300)*uint64(k))})
			list = append(list, Receipt{Number: uint64(k)})
		}
		batches, receipts = append(batches, BatchFormat.Encode(b)), append(receipts, ReceiptsFormat.Encode([]Receipt(list)))
	}
	return batches, receipts
}

// TestPlainDecoding changes every byte of small batches and receipts to every other one, and cuts and extends them: no byte
// more or less is taken than by the library, by which other builds may decode.
func TestPlainDecoding(t *testing.T) {
	batches, receipts := plain()
	for i := range batches {
		sameBatch(t, batches[i])
		sameReceipts(t, receipts[i])
	}
	change := func(data []byte, same func(testing.TB, []byte)) {
		for i := range data {
			same(t, data[:i])
			changed := bytes.Clone(data)
			for v := range 256 {
				changed[i] = byte(v)
				same(t, changed)
			}
			same(t, append(append(bytes.Clone(data[:i]), 0xf6), data[i:]...))
		}
		same(t, append(bytes.Clone(data), 0))
	}
	for i := range 4 {
		change(batches[i][:min(len(batches[i]), 400)], sameBatch)
		change(receipts[i], sameReceipts)
	}
	sameBatch(t, Batch{Inputs: make([]Input, MaxBatch+1)}.Encode())
	sameBatch(t, Batch{}.Encode())
	sameReceipts(t, Receipts{}.Encode())
}

func FuzzPlainDecoding(f *testing.F) {
	batches, receipts := plain()
	for i := range batches {
		f.Add(batches[i])
		f.Add(receipts[i])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sameBatch(t, data)
		sameReceipts(t, data)
	})
}
