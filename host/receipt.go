package host

import (
	"errors"
	"fmt"

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

// DecodeReceipts reads the receipts of an entry: at least one.
func DecodeReceipts(data []byte) (Receipts, error) {
	var r Receipts
	if err := ReceiptsFormat.Decode(data, &r); err != nil {
		return nil, err
	}
	if len(r) == 0 {
		return nil, errors.New("decode receipts: there are none")
	}
	return r, nil
}

// MarshalCBOR is what the library would make of the receipts by itself, in a fifth
// of the time: it looks up the type of each anew.
func (list Receipts) MarshalCBOR() ([]byte, error) {
	size := canonical.MaxHead
	for i := range list {
		size += 8*canonical.MaxHead + len(list[i].Output)
	}
	b := canonical.AppendHead(make([]byte, 0, size), canonical.Array, uint64(len(list)))
	for i := range list {
		r := &list[i]
		b = canonical.AppendHead(b, canonical.Array, 7)
		b = canonical.AppendHead(b, canonical.Unsigned, r.Number)
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(r.Status))
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(r.Code))
		b = canonical.AppendHead(b, canonical.Unsigned, uint64(r.Trap))
		b = canonical.AppendHead(b, canonical.Unsigned, r.Gas)
		b = canonical.AppendBool(b, r.Duplicate)
		b = canonical.AppendHead(b, canonical.Bytes, uint64(len(r.Output)))
		b = append(b, r.Output...)
	}
	return b, nil
}
