package doctor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	log "lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/doctor"
)

// healthy are settings with nothing to find.
func healthy() doctor.Settings {
	ref := log.Ref{Machine: "m", Epoch: 1}
	s := doctor.Settings{
		Ref: ref,
		Stream: jetstream.StreamConfig{
			Name: ref.StreamName(), Subjects: []string{ref.InputSubject(), ref.ControlSubject()}, Storage: jetstream.FileStorage, Replicas: 3,
			Discard: jetstream.DiscardNew, MaxBytes: 1 << 30, MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1,
			DenyDelete: true, AllowDirect: true, Duplicates: 100 * time.Millisecond,
			RePublish: &jetstream.RePublish{Source: strings.TrimSuffix(ref.InputSubject(), "input") + "*", Destination: ref.RepublishSubject()},
		},
		Cluster: &jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{{Name: "b", Current: true}, {Name: "c", Current: true}}},
	}
	s.Account.Limits.MaxStore, s.Account.Limits.MaxStreams = -1, -1
	for _, name := range []string{"a", "b", "c"} {
		s.Servers = append(s.Servers, doctor.Server{
			Name: name, Host: name + ".example", Version: "2.15.2", SyncAlways: true, Strict: true, MaxPayload: 1 << 20,
			MaxStore: 64 << 30, Reserved: 1 << 30, DiskFree: -1,
		})
	}
	return s
}

func TestDiagnose(t *testing.T) {
	if found := doctor.Diagnose(healthy()); len(found) > 0 {
		t.Fatalf("healthy settings: %v", found)
	}
	for _, c := range []struct {
		name   string
		change func(*doctor.Settings)
		want   []string // a word of each finding, in order
	}{
		{"stream", func(s *doctor.Settings) { s.Stream.MaxAge = time.Hour }, []string{"max age is 1h0m0s, want none: entries vanish"}},
		{"holes", func(s *doctor.Settings) { s.State.NumDeleted = 7 }, []string{"between the first and the last is 7"}},
		{"log nearly full", func(s *doctor.Settings) { s.State.Bytes = 1 << 30 }, []string{"refuses inputs until a checkpoint"}},
		{"no leader", func(s *doctor.Settings) { s.Cluster.Leader = ""; s.Servers[0].UniqueTag = "x" }, []string{"leader of the log is none"}},
		{"offline", func(s *doctor.Settings) { s.Cluster.Replicas[1].Offline = true }, []string{"copy on c is not heard of"}},
		{"silent", func(s *doctor.Settings) { s.Cluster.Replicas[1].Active = time.Minute }, []string{"copy on c is not heard of for 1m0s"}},
		{"unheard", func(s *doctor.Settings) { s.Cluster.Replicas[1].Current = false }, []string{"copy on c is not heard of since"}},
		{"lag", func(s *doctor.Settings) { s.Cluster.Replicas[0].Lag = 20_000 }, []string{"copy on b is 20000 entries behind"}},
		{"too few copies", func(s *doctor.Settings) { s.Cluster.Replicas = s.Cluster.Replicas[:1] }, []string{"copies is 2, want 3"}},
		{"one replica", func(s *doctor.Settings) { s.Stream.Replicas, s.Cluster.Replicas = 1, nil }, []string{"loss of one disk", "placement"}},
		{"two replicas", func(s *doctor.Settings) { s.Stream.Replicas = 2; s.Cluster.Replicas = s.Cluster.Replicas[:1] },
			[]string{"loss of one disk", "an odd number", "placement"}},
		{"dedup window", func(s *doctor.Settings) { s.Stream.Duplicates = 2 * time.Minute }, []string{"duplicate window is 2m0s"}},
		{"streams used up", func(s *doctor.Settings) { s.Account.Limits.MaxStreams, s.Account.Streams = 3, 3 }, []string{"next epoch cannot be made"}},
		{"account nearly full", func(s *doctor.Settings) { s.Account.Limits.MaxStore, s.Account.ReservedStore = 10<<30, 10<<30 }, []string{"account's storage"}},
		{"account smaller than log", func(s *doctor.Settings) { s.Account.Limits.MaxStore = 1 << 20 }, []string{"before it has reached its own bound"}},
		{"strict", func(s *doctor.Settings) { s.Servers[1].Strict = false }, []string{"strict of b"}},
		{"sync interval", func(s *doctor.Settings) { s.Servers[1].SyncAlways, s.Servers[1].SyncInterval = false, 2*time.Minute },
			[]string{"sync interval of b is 2m0s, want always: what was acknowledged in that time is lost"}},
		{"version", func(s *doctor.Settings) { s.Servers[0].Version = "2.14.3" }, []string{"version of a is 2.14.3", "versions is 2.14.3, 2.15.2"}},
		{"all old", func(s *doctor.Settings) {
			for i := range s.Servers {
				s.Servers[i].Version = "2.10.29-rc.1"
			}
		}, []string{"version of a", "version of b", "version of c"}},
		{"payload", func(s *doctor.Settings) { s.Servers[2].MaxPayload = 64 << 10 }, []string{"max payload of c is 65536"}},
		{"store full", func(s *doctor.Settings) { s.Servers[0].Reserved = 63 << 30 }, []string{"storage of a"}},
		{"disk full", func(s *doctor.Settings) { s.Servers[0].DiskFree = 100 << 20 }, []string{"disk of a is 104857600 bytes left"}},
		{"disk smaller than reserved", func(s *doctor.Settings) { s.Servers[0].Reserved, s.Servers[0].DiskFree = 8<<30, 2<<30 },
			[]string{"disk is full before the logs are"}},
		{"one machine", func(s *doctor.Settings) { s.Servers[0].Host, s.Servers[1].Host = "10.0.0.1", "10.0.0.1" }, []string{"copies on 10.0.0.1 is a, b"}},
		{"any address", func(s *doctor.Settings) { s.Servers[0].Host, s.Servers[1].Host = "0.0.0.0", "0.0.0.0" }, nil},
		{"placement", func(s *doctor.Settings) {
			s.Servers = append(s.Servers, doctor.Server{Name: "d", Version: "2.15.2", SyncAlways: true, Strict: true, DiskFree: -1})
		},
			[]string{"placement is left to the servers"}},
		{"server gone", func(s *doctor.Settings) {
			s.Servers[0].Peers, s.Servers[0].Offline = 4, map[string]time.Duration{"d": time.Hour, "e": time.Second}
		}, []string{"server d is not seen for 1h0m0s, want running, or removed: it counts as one of 4"}},
		{"servers unknown", func(s *doctor.Settings) { s.Servers = nil }, []string{"servers' settings is not known"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := healthy()
			c.change(&s)
			found := doctor.Diagnose(s)
			if len(found) != len(c.want) {
				t.Fatalf("%d findings, want %d: %v", len(found), len(c.want), found)
			}
			for i, f := range found {
				if !strings.Contains(f.String(), c.want[i]) {
					t.Errorf("finding %q, nothing of %q", f, c.want[i])
				}
			}
		})
	}
}
