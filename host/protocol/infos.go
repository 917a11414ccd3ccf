package protocol

import (
	"bytes"
	"slices"

	"lockstep/host"
)

// Infos are what replicas of a machine say of themselves, each once, if it has signed it.
type Infos struct {
	Machine string
	List    []host.Info
}

// maxInfos bounds them: more than any membership has, since whoever wants to can be
// many replicas.
const maxInfos = 1024

// Add takes what one says, or leaves it.
func (s *Infos) Add(in host.Info) {
	known := func(o host.Info) bool { return o.Replica == in.Replica && bytes.Equal(o.Key, in.Key) }
	if in.Machine == s.Machine && len(s.List) < maxInfos && !slices.ContainsFunc(s.List, known) && in.Verify(in.Key) {
		s.List = append(s.List, in)
	}
}
