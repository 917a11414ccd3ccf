package host

import (
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
	_       struct{} `cbor:",toarray"`
	Holding audit.Holding
	Refused bool   // the module is at fault, and no replica will take it
	NoRoom  bool   // the replica's node has no memory for the guest
	Error   string // empty if it is held
}

// Formats of preparing.
const (
	PrepareFormat  canonical.Format = "LSP2"
	PreparedFormat canonical.Format = "LSG1"
)

// ModuleDigest names a module by the BLAKE3 digest of its bytes.
func ModuleDigest(wasm []byte) audit.Digest { return audit.Digest(blake3.Sum256(wasm)) }
