package host

import (
	"crypto/ed25519"

	"github.com/zeebo/blake3"

	"lockstep/audit"
	"lockstep/audit/canonical"
)

// Prepare asks replicas to fetch a module, check and compile it, so that an
// ordered DEPLOY or UPGRADE finds it there.
type Prepare struct {
	_      struct{} `cbor:",toarray"`
	Module audit.Digest
	Config Config // of the DEPLOY; ignored by a machine that is deployed
	From   string // subject on which the asker serves the module as a blob
	// Checkpoint is the root of a state that was imported, instead of a module;
	// what is held is then that state.
	Checkpoint audit.Digest
}

// Prepared is a replica's answer: a signed holding, or why there is none.
type Prepared struct {
	_         struct{}      `cbor:",toarray"`
	Holding   audit.Holding // without a signature of its own where the module is not held
	Refused   bool          // the module is at fault, and no replica will take it
	NoRoom    bool          // the replica's node has no memory for the guest
	Error     string        // empty if it is held
	Signature []byte        // of Holding.Replica, over all of the above
}

// Sign sets the signature.
func (p *Prepared) Sign(key ed25519.PrivateKey) { p.Signature = ed25519.Sign(key, p.signed()) }

// Verify checks the signature against the replica's public key.
func (p *Prepared) Verify(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, p.signed(), p.Signature)
}

func (p Prepared) signed() []byte {
	p.Signature = nil
	return PreparedFormat.Encode(p)
}

// Formats of preparing.
const (
	PrepareFormat  canonical.Format = "LSP2"
	PreparedFormat canonical.Format = "LSG2"
)

// ModuleDigest names a module by the BLAKE3 digest of its bytes.
func ModuleDigest(wasm []byte) audit.Digest { return audit.Digest(blake3.Sum256(wasm)) }
