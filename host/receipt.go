package host

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"lockstep/audit/canonical"
	"lockstep/wasmabi"
)

// Receipt is what became of one input.
type Receipt struct {
	_         struct{} `cbor:",toarray"`
	Number    uint64   // of the input
	Status    wasmabi.Status
	Code      uint32       // the guest's, with Rejected; a Refusal, with Refused
	Trap      wasmabi.Trap // with Trapped
	Gas       uint64       // used
	Duplicate bool         // the input was applied before; this is its first receipt again
	Output    []byte
}

// Refusal is why the host did not run an input.
type Refusal uint32

// The refusals. Values are part of the wire format; never renumber.
const (
	RefusedTooLate        Refusal = 1  // the receipt of this number was forgotten; it may have been applied
	RefusedSessionExpired Refusal = 2  // the session was evicted; its inputs may have been applied
	RefusedNotDeployed    Refusal = 3  // the machine has no guest yet
	RefusedDeployed       Refusal = 4  // the machine has a guest already
	RefusedModule         Refusal = 5  // the module is not a guest; Output says why
	RefusedMember         Refusal = 6  // the membership forbids it; Output says why
	RefusedMalformed      Refusal = 7  // the control input's body is not what its kind wants
	RefusedUpgrade        Refusal = 8  // a guest failed to save or load its state; Output says which
	RefusedSignature      Refusal = 9  // the entry is not signed by the client that it names
	RefusedCheckpoint     Refusal = 10 // the machine cannot begin from it; Output says why
	RefusedEntryFull      Refusal = 11 // what the entry's inputs before it put out fills a message; to be sent again
)

func (r Refusal) String() string {
	names := [...]string{
		RefusedTooLate: "retry came too late", RefusedSessionExpired: "session expired",
		RefusedNotDeployed: "machine is not deployed", RefusedDeployed: "machine is deployed already",
		RefusedModule: "module refused", RefusedMember: "membership refused",
		RefusedMalformed: "malformed control input", RefusedUpgrade: "upgrade failed", RefusedSignature: "input is not signed by its client",
		RefusedCheckpoint: "checkpoint refused", RefusedEntryFull: "outputs of the entry are too large",
	}
	if int(r) < len(names) && names[r] != "" {
		return names[r]
	}
	return fmt.Sprintf("refusal %d", uint32(r))
}

func refused(number uint64, why Refusal, detail string) Receipt {
	return Receipt{Number: number, Status: wasmabi.Refused, Code: uint32(why), Output: []byte(detail)}
}

func receiptOf(number uint64, o Outcome) Receipt {
	r := Receipt{Number: number, Status: o.Status, Code: o.Code, Trap: o.Trap, Gas: o.Gas}
	if o.Status == wasmabi.OK || o.Status == wasmabi.Rejected {
		r.Output = o.Output
	}
	return r
}

// Receipts are those of one entry, in the order of its inputs.
type Receipts []Receipt

// ReceiptsFormat is the encoding of an entry's receipts; its digest is what a
// vote states as outputs.
const ReceiptsFormat canonical.Format = "LSR1"

// minReceipt is the size of the smallest one, encoded.
const minReceipt = 8

// DecodeReceipts reads the receipts of an entry: at least one.
func DecodeReceipts(data []byte) (Receipts, error) {
	r := ReceiptsFormat.Read(data)
	n := r.Head(canonical.Array)
	if n > uint64(r.Left()/minReceipt) {
		return nil, errors.New("decode receipts: they are not whole")
	}
	list := make(Receipts, 0, n)
	for uint64(len(list)) < n && r.Array(7) {
		list = append(list, Receipt{
			Number: r.Unsigned(math.MaxUint64), Status: wasmabi.Status(r.Unsigned(math.MaxUint8)), Code: uint32(r.Unsigned(math.MaxUint32)),
			Trap: wasmabi.Trap(r.Unsigned(math.MaxUint32)), Gas: r.Unsigned(math.MaxUint64), Duplicate: r.Bool(), Output: bytes.Clone(r.Bytes()),
		})
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("decode receipts: there are none")
	}
	return list, nil
}

// Encode is ReceiptsFormat.Encode, in a fraction of the time.
func (list Receipts) Encode() []byte {
	size := len(ReceiptsFormat) + canonical.MaxHead
	for i := range list {
		size += 7*canonical.MaxHead + len(list[i].Output)
	}
	b := append(make([]byte, 0, size), ReceiptsFormat...)
	b = canonical.AppendHead(b, canonical.Array, uint64(len(list)))
	for i := range list {
		r := &list[i]
		b = canonical.AppendHead(b, canonical.Array, 7)
		b = canonical.AppendHead(b, canonical.Unsigned, r.Number)
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(r.Status))
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(r.Code))
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(r.Trap))
		b = canonical.AppendHead(b, canonical.Unsigned, r.Gas)
		b = canonical.AppendBool(b, r.Duplicate)
		b = canonical.AppendBytes(b, r.Output)
	}
	return b
}
