package host

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// ClientID names a session. It is unguessable: 32 random bytes, or an ed25519
// public key where inputs are signed.
type ClientID [32]byte

func (c ClientID) String() string { return hex.EncodeToString(c[:]) }

// Session is what a client says of itself in every entry it makes.
type Session struct {
	_      struct{} `cbor:",toarray"`
	Client ClientID
	// Opened is a seq that the log had reached when the session was opened. A
	// machine that has evicted sessions used later than that refuses to open
	// this one anew, so that no retry is applied twice.
	Opened ordering.Seq
	// Floor is the lowest input number whose receipt the client still wants.
	// Lower ones are forgotten.
	Floor uint64
	// Responder chooses the voter that sends the receipts as bytes, where they
	// are large: the one at this index, modulo the number of voters, ascending by
	// id. The others send their digest.
	Responder uint64
}

// Batch is an entry of inputs from one client.
type Batch struct {
	_         struct{} `cbor:",toarray"`
	Session   Session
	Inputs    []Input
	Signature []byte // by the key that is the client's id, or empty; see Sign
}

// Input is what a client asks. Number counts the client's inputs from 1.
type Input struct {
	_       struct{} `cbor:",toarray"`
	Number  uint64
	Payload []byte
}

// BatchFormat is the encoding of an entry of inputs.
const BatchFormat canonical.Format = "LSB1"

// MaxBatch is the largest number of inputs in one entry.
const MaxBatch = 1024

// BatchOverhead bounds the bytes of an encoded batch besides its payloads.
func BatchOverhead(inputs int) int { return 256 + inputs*16 }

// Encode returns the entry's data. Batches encode and decode themselves, in a fraction of the time that it takes the
// library, which gives and takes the same bytes.
func (b Batch) Encode() []byte {
	size := BatchOverhead(len(b.Inputs)) + len(b.Signature)
	for i := range b.Inputs {
		size += len(b.Inputs[i].Payload)
	}
	d := append(make([]byte, 0, size), BatchFormat...)
	d = canonical.AppendHead(d, canonical.Array, 3)
	d = canonical.AppendHead(d, canonical.Array, 4)
	d = canonical.AppendBytes(d, b.Session.Client[:])
	d = canonical.AppendHead(d, canonical.Unsigned, uint64(b.Session.Opened))
	d = canonical.AppendHead(d, canonical.Unsigned, b.Session.Floor)
	d = canonical.AppendHead(d, canonical.Unsigned, b.Session.Responder)
	d = canonical.AppendHead(d, canonical.Array, uint64(len(b.Inputs)))
	for i := range b.Inputs {
		d = canonical.AppendHead(d, canonical.Array, 2)
		d = canonical.AppendHead(d, canonical.Unsigned, b.Inputs[i].Number)
		d = canonical.AppendBytes(d, b.Inputs[i].Payload)
	}
	return canonical.AppendBytes(d, b.Signature)
}

// DecodeBatch reads an entry's data, of which payloads and signature are views, and checks its limits.
func DecodeBatch(data []byte) (Batch, error) {
	var b Batch
	if len(data) > ordering.MaxEntry {
		return b, ordering.ErrTooLarge
	}
	r := BatchFormat.Read(data)
	r.Array(3)
	r.Array(4)
	r.Fill(b.Session.Client[:])
	b.Session.Opened = ordering.Seq(r.Unsigned(math.MaxUint64))
	b.Session.Floor = r.Unsigned(math.MaxUint64)
	b.Session.Responder = r.Unsigned(math.MaxUint64)
	n := r.Head(canonical.Array)
	if n > MaxBatch {
		return b, fmt.Errorf("batch has %d inputs, want 1 to %d", n, MaxBatch)
	}
	b.Inputs = make([]Input, n)
	for i := range b.Inputs {
		r.Array(2)
		b.Inputs[i] = Input{Number: r.Unsigned(math.MaxUint64), Payload: r.Bytes()}
	}
	b.Signature = r.Bytes()
	if err := r.End(); err != nil {
		return Batch{}, err
	}
	if n == 0 {
		return b, fmt.Errorf("batch has no inputs, want 1 to %d", MaxBatch)
	}
	for i := range b.Inputs {
		if err := checkInput(b.Inputs[i]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// ErrInputTooLarge is returned before anything is sent.
var ErrInputTooLarge = fmt.Errorf("input is larger than %d bytes", wasmabi.MaxInput)

func checkInput(in Input) error {
	if in.Number == 0 {
		return errors.New("input has number 0, want 1 or more")
	}
	if len(in.Payload) > wasmabi.MaxInput {
		return ErrInputTooLarge
	}
	return nil
}

// Control is an entry with one control input.
type Control struct {
	_         struct{} `cbor:",toarray"`
	Session   Session
	Number    uint64
	Kind      ControlKind
	Body      []byte // the encoding of the kind's struct; empty for CHECKPOINT
	Signature []byte // as in a batch
}

// ControlFormat is the encoding of an entry with a control input.
const ControlFormat canonical.Format = ordering.ControlMagic

// ControlKind says what a control input does.
type ControlKind uint8

// The control inputs. Values are part of the wire format; never renumber.
const (
	ControlDeploy     ControlKind = 1 // Deploy
	ControlCheckpoint ControlKind = 2 // no body
	ControlJoin       ControlKind = 3 // Join
	ControlQuit       ControlKind = 4 // Quit
	ControlUpgrade    ControlKind = 5 // Upgrade
)

func (k ControlKind) String() string {
	names := [...]string{ControlDeploy: "DEPLOY", ControlCheckpoint: "CHECKPOINT", ControlJoin: "JOIN", ControlQuit: "QUIT", ControlUpgrade: "UPGRADE"}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return fmt.Sprintf("control %d", uint8(k))
}

// Deploy makes the machine: it names the guest and founds the membership.
type Deploy struct {
	_       struct{} `cbor:",toarray"`
	Machine string
	Module  audit.Digest // BLAKE3 of the module's bytes
	Config  Config
	Members []audit.Member  // ascending by ID, at least one voter
	Holders []audit.Holding // of the module, or of the checkpoint, by a majority of the voters
	// Checkpoint is the root of a state of another machine to begin from, instead
	// of lockstep_init; zero: none. Module may be zero then, and what Config
	// leaves open is as it was there.
	Checkpoint audit.Digest
}

// Join adds a replica, or makes an observer a voter.
type Join struct {
	_      struct{} `cbor:",toarray"`
	Member audit.Member
}

// Quit removes a replica.
type Quit struct {
	_       struct{} `cbor:",toarray"`
	Replica audit.ReplicaID
}

// Upgrade replaces the guest by another module. The old one writes its state
// (lockstep_save), the new one reads it (lockstep_load); where either fails,
// the old one goes on.
type Upgrade struct {
	_       struct{} `cbor:",toarray"`
	Module  audit.Digest
	Holders []audit.Holding // of the module, by a majority of the voters
}

// Formats of the control inputs' bodies.
const (
	DeployFormat  canonical.Format = "LSD2"
	JoinFormat    canonical.Format = "LSJ1"
	QuitFormat    canonical.Format = "LSQ1"
	UpgradeFormat canonical.Format = "LSU1"
)

// Encode returns the entry's data.
func (c Control) Encode() []byte { return ControlFormat.Encode(c) }

// DecodeControl reads an entry's data.
func DecodeControl(data []byte) (Control, error) {
	var c Control
	if len(data) > ordering.MaxEntry {
		return c, ordering.ErrTooLarge
	}
	if err := ControlFormat.Decode(data, &c); err != nil {
		return c, err
	}
	if c.Number == 0 {
		return c, errors.New("control input has number 0, want 1 or more")
	}
	return c, nil
}
