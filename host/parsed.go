package host

import (
	"crypto/ed25519"
	"encoding/binary"

	"github.com/zeebo/blake3"

	"lockstep/ordering"
)

// Parsed is an entry that was decoded: a function of its bytes alone, so that it
// can be made, and its signature checked, ahead of the machine that applies it.
type Parsed struct {
	Entry   ordering.Entry
	machine string
	batch   *Batch // at most one of these; none is an entry that asks nothing
	control *Control

	checked, signed bool
}

// Parse decodes an entry of a machine's log. Whatever it holds is no error: what
// cannot be decoded asks nothing.
func Parse(machine string, e ordering.Entry) *Parsed {
	p := &Parsed{Entry: e, machine: machine}
	switch {
	case BatchFormat.Match(e.Data):
		if b, err := DecodeBatch(e.Data); err == nil {
			p.batch = &b
		}
	case ControlFormat.Match(e.Data):
		if c, err := DecodeControl(e.Data); err == nil {
			p.control = &c
		}
	}
	return p
}

// Signed reports whether the client that the entry names has signed it. The
// first call checks, which takes some 60 µs, and the others remember.
func (p *Parsed) Signed() bool {
	if !p.checked {
		p.checked, p.signed = true, p.check()
	}
	return p.signed
}

func (p *Parsed) check() bool {
	var client ClientID
	var signature []byte
	switch {
	case p.batch != nil:
		client, signature = p.batch.Session.Client, p.batch.Signature
	case p.control != nil:
		client, signature = p.control.Session.Client, p.control.Signature
	}
	if len(signature) != ed25519.SignatureSize {
		return false
	}
	digest := signedDigest(p.machine, p.Entry.Data[:len(p.Entry.Data)-signatureItem])
	return ed25519.Verify(client[:], digest[:], signature)
}

// signatureItem is the size of a signature in the encoding, where it is the
// last item: two bytes of head, and itself.
const signatureItem = 2 + ed25519.SignatureSize

const signedDomain = "lockstep input v1\x00"

// signedDigest is what a client signs: the machine that an entry is for, and the
// entry's bytes up to the signature.
func signedDigest(machine string, data []byte) [32]byte {
	h := blake3.New()
	_, _ = h.Write([]byte(signedDomain)) // a hash never fails
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(machine))))
	_, _ = h.Write([]byte(machine))
	_, _ = h.Write(data)
	var d [32]byte
	h.Sum(d[:0])
	return d
}

// Sign returns an entry's data signed. key is the one whose public half is the
// client's id.
func (b Batch) Sign(machine string, key ed25519.PrivateKey) []byte {
	b.Signature = make([]byte, ed25519.SignatureSize)
	return sign(machine, b.Encode(), key)
}

// Sign is as a batch's.
func (c Control) Sign(machine string, key ed25519.PrivateKey) []byte {
	c.Signature = make([]byte, ed25519.SignatureSize)
	return sign(machine, c.Encode(), key)
}

// sign fills in the signature, which is at the end.
func sign(machine string, data []byte, key ed25519.PrivateKey) []byte {
	digest := signedDigest(machine, data[:len(data)-signatureItem])
	copy(data[len(data)-ed25519.SignatureSize:], ed25519.Sign(key, digest[:]))
	return data
}
