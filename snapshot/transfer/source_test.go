package transfer

import (
	"time"

	"lockstep/audit"
	"lockstep/ordering"
	"lockstep/snapshot"
)

// anything is a source that has whatever it is asked for.
type anything struct{}

func (anything) Manifest(ordering.Epoch, ordering.Seq) ([]byte, error) {
	return make([]byte, 5000), nil
}
func (anything) Hold(ordering.Epoch, ordering.Seq, uint64, time.Duration) error { return nil }
func (anything) Blob(audit.Digest) ([]byte, error)                              { return make([]byte, 5000), nil }
func (anything) Parts(refs []snapshot.Ref, give func([]byte) bool) error {
	for range refs {
		if !give(make([]byte, snapshot.NodeSize)) {
			break
		}
	}
	return nil
}
