// Package doctor reads the settings under which a machine's log is kept, and says
// in words what each unsafe one can lose. Diagnose is a pure function of Settings; Read
// asks a running cluster for them.
//
// A NATS server that has lost entries reports itself healthy, so that what is found
// here is what may go wrong and not what has, save for holes that the servers count
// themselves.
package doctor

import (
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering/jetstream"
)

// Settings are those of one log and of the servers that may keep it.
type Settings struct {
	Ref     jetstream.Ref
	Stream  njs.StreamConfig
	State   njs.StreamState
	Cluster *njs.ClusterInfo // nil: a server alone
	Account njs.AccountInfo
	// Servers are all that answered, ascending by name. Empty: they could not be asked, for want of a login to
	// the system account.
	Servers []Server
}

// Server is one NATS server. It is also what a node tells of the one that is embedded in it.
type Server struct {
	Name         string        `json:"name"`
	Host         string        `json:"host"` // where it listens
	Version      string        `json:"version"`
	SyncAlways   bool          `json:"sync_always"`
	SyncInterval time.Duration `json:"sync_interval"`
	// Strict is nats-server's setting of that name: it refuses requests with fields that they do not have. Without, the
	// acknowledgement of a message is a request to purge a stream, if its sender has it sent there.
	Strict     bool   `json:"strict"`
	MaxPayload int64  `json:"max_payload"` // bytes; 0: not known
	UniqueTag  string `json:"unique_tag"`

	// Room for streams in bytes: what they may use, have reserved and use.
	MaxStore int64  `json:"max_store"`
	Reserved uint64 `json:"reserved"`
	Used     uint64 `json:"used"`
	// DiskFree is what is left on the disk under StoreDir, -1 if that cannot be seen
	// from here.
	StoreDir string `json:"store_dir"`
	DiskFree int64  `json:"disk_free"`

	// Offline are the servers that this one, as the leader of the meta group, misses, with the time
	// since they were last seen.
	Offline map[string]time.Duration `json:"offline,omitempty"`
	Peers   int                      `json:"peers"` // of the meta group, as its leader counts; 0 elsewhere
}
