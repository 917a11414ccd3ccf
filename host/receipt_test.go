package host

import (
	"bytes"
	"math"
	"testing"

	"lockstep/wasmabi"
)

// Receipts that encode themselves have the bytes that the library gives a plain list.
func TestReceiptsEncode(t *testing.T) {
	edges := []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64}
	var list []Receipt
	for i, n := range edges {
		list = append(list, Receipt{
			Number: n, Status: wasmabi.Status(i % 5), Code: uint32(edges[(i+3)%len(edges)]), Trap: wasmabi.Trap(i * 30), Gas: edges[(i+5)%len(edges)],
			Duplicate: i%2 == 1, Output: bytes.Repeat([]byte{byte(i)}, int(min(n, 70_000))),
		})
	}
	for n := range list {
		got, want := Receipts(list[:n]).Encode(), ReceiptsFormat.Encode(list[:n])
		if !bytes.Equal(got, want) {
			t.Fatalf("%d receipts: %d bytes that differ from the %d wanted", n, len(got), len(want))
		}
		var back []Receipt
		if err := ReceiptsFormat.Decode(got, &back); err != nil || len(back) != n {
			t.Fatalf("%d receipts: decoded %d, %v", n, len(back), err)
		}
	}
}
