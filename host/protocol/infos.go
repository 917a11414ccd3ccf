package protocol

import (
	"bytes"
	"slices"

	"lockstep/audit"
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

// OfVoters leaves out what is not said by a voter of a membership, whose key each has shown: see Add.
func OfVoters(list []host.Info, members audit.Members) (kept []host.Info) {
	for _, in := range list {
		if key, voter := members.Voter(in.Replica); voter && bytes.Equal(key, in.Key) {
			kept = append(kept, in)
		}
	}
	return kept
}
