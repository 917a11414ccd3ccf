package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host/protocol"
	"lockstep/ordering/journal/durable"
)

// evidence is what a node keeps against replicas of a machine, its own among
// them: one file for each fault, which is never replaced. What is found first is
// kept, so that nobody can have it pushed out; and it is bounded for each
// replica, so that none fills the disk, or the room of the others.
type evidence struct {
	dir string

	mu     sync.Mutex
	kept   map[string]audit.Kept // by file name
	counts map[audit.ReplicaID]Faults
	bytes  int
}

// Faults is how much evidence there is against one replica.
type Faults struct {
	Kept uint32
	More uint64 // found since the node started, and not kept: there is enough
	size int
}

// Bounds of the evidence of one machine, in files and bytes. All of it fits into
// one message.
const (
	maxFaults        = 16
	maxFaultBytes    = 64 << 10 // against one replica
	maxEvidenceBytes = 512 << 10
	evidenceSuffix   = ".evidence"
	evidenceQueue    = 16
	evidencePerTick  = 4 // from the wire: to check it takes a signature's time each
)

// openEvidence reads what is kept in a folder, which may not be there yet.
func openEvidence(dir string) (*evidence, error) {
	s := &evidence{dir: dir, kept: make(map[string]audit.Kept), counts: make(map[audit.ReplicaID]Faults)}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), evidenceSuffix) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		var k audit.Kept
		if audit.KeptFormat.Decode(data, &k) != nil {
			continue // it rotted, and shows nothing any more
		}
		if fault, err := k.Open(); err == nil {
			s.enter(fault, k, len(data))
		}
	}
	return s, nil
}

func evidenceName(f audit.Fault) string {
	return fmt.Sprintf("%s.%s.%d.%d%s", f.Replica, f.Kind, f.At.Epoch, f.At.Seq, evidenceSuffix)
}

func (s *evidence) enter(f audit.Fault, k audit.Kept, size int) {
	n := s.counts[f.Replica]
	n.Kept++
	n.size += size
	s.counts[f.Replica] = n
	s.bytes += size
	s.kept[evidenceName(f)] = k
}

// known reports whether evidence of a fault is kept.
func (s *evidence) known(f audit.Fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.kept[evidenceName(f)]
	return known
}

// wanted reports whether evidence of a fault, which is proved, would be kept, and counts it if
// there is enough against its replica already.
func (s *evidence) wanted(f audit.Fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.kept[evidenceName(f)]; known {
		return false
	}
	n := s.counts[f.Replica]
	if n.Kept < maxFaults && n.size < maxFaultBytes && s.bytes < maxEvidenceBytes {
		return true
	}
	n.More++
	s.counts[f.Replica] = n
	return false
}

// keep makes evidence durable.
func (s *evidence) keep(f audit.Fault, e audit.Evidence, members audit.Members) error {
	k := audit.Kept{Found: time.Now().UnixNano(), Members: members, Evidence: e.Encode()}
	data := audit.KeptFormat.Encode(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("keep evidence: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(s.dir, evidenceName(f)), data); err != nil {
		return fmt.Errorf("keep evidence: %w", err)
	}
	s.enter(f, k, len(data))
	return nil
}

// Evidence is what this node keeps against replicas of the machine, in the order
// in which it was found.
func (r *Replica) Evidence() []audit.Kept {
	s := r.evidence
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]audit.Kept, 0, len(s.kept))
	for _, k := range s.kept {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b audit.Kept) int {
		return int(min(max(a.Found-b.Found, -1), 1))
	})
	return list
}

// Faults counts the evidence against each replica against which there is some.
func (r *Replica) Faults() map[audit.ReplicaID]Faults {
	s := r.evidence
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[audit.ReplicaID]Faults, len(s.counts))
	for id, n := range s.counts {
		counts[id] = n
	}
	return counts
}

// evidencePath is where evidence is kept.
func (r *Replica) evidencePath() string { return r.node.path("machines", string(r.name), "evidence") }

// convict keeps evidence that this replica found, and tells the others.
func (r *Replica) convict(e audit.Evidence, at audit.Position, members audit.Members) {
	if !r.evidence.wanted(audit.Fault{Replica: e.Replica, Kind: e.Kind, At: at}) {
		return
	}
	f, err := e.Verify(members)
	if err != nil {
		r.logger.Debug("drop evidence", "err", err)
		return
	}
	if r.keepEvidence(f, e, members) {
		r.publish(protocol.EvidenceSubject(string(r.name)), e.Encode())
	}
}

// keepEvidence keeps evidence of a fault that it shows.
func (r *Replica) keepEvidence(f audit.Fault, e audit.Evidence, members audit.Members) bool {
	if err := r.evidence.keep(f, e, members); err != nil {
		r.logger.Error("evidence of a fault is not kept", "of", f.Replica, "err", err)
		return false
	}
	r.logger.Warn("evidence of a fault", "of", f.Replica, "kind", f.Kind.String(), "epoch", uint64(f.At.Epoch), "seq", uint64(f.At.Seq),
		"stated", f.Stated[0].String(), "against", f.Stated[1].String())
	r.emit(Event{Kind: EventEvidence, Epoch: f.At.Epoch, Seq: f.At.Seq, Other: f.Replica})
	return true
}

// receiveEvidence queues what others found, clients among them. What comes
// faster than it is looked at is dropped.
func (r *Replica) receiveEvidence(m *nats.Msg) {
	if len(m.Data) > audit.MaxEvidence {
		return
	}
	select {
	case r.findings <- m.Data:
	default:
	}
}

// hearEvidence looks at some of what others found.
func (r *Replica) hearEvidence() {
	for range evidencePerTick {
		select {
		case data := <-r.findings:
			r.weigh(data)
		default:
			return
		}
	}
}

// weigh judges evidence by the membership that its statements name.
func (r *Replica) weigh(data []byte) {
	e, err := audit.DecodeEvidence(data)
	if err != nil || e.Machine != string(r.name) {
		return
	}
	c, err := audit.DecodeClaim(e.Statements[1])
	if err != nil || r.evidence.known(audit.Fault{Replica: e.Replica, Kind: e.Kind, At: c.At}) {
		return
	}
	panel, known := r.panels[c.Members]
	if !known {
		panel = r.machine.Members()
	}
	// What shows nothing is not counted either.
	if f, err := e.Verify(panel); err != nil {
		r.logger.Debug("drop evidence", "err", err)
	} else if r.evidence.wanted(f) {
		r.keepEvidence(f, e, panel)
	}
}
