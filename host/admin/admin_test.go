package admin

import (
	"reflect"
	"testing"

	"lockstep/audit"
	"lockstep/audit/canonical"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

func messages() map[canonical.Format]any {
	last := ordering.Position{Epoch: 1, Seq: 7}
	stand := audit.Stand{Machine: "kv", Replica: "n2", Last: last, Points: []ordering.Position{last}, Signature: []byte{3}}
	recovery := epochs.Recovery{
		Machine: "kv", Epoch: 2, Base: last, Replica: "n1", Voters: []audit.ReplicaID{"n1"}, Reason: "fire", Signature: []byte{4},
		Tails: []epochs.Tail{{Replica: "n2", Last: last, Fork: 7, Gone: true}},
	}
	return map[canonical.Format]any{
		StandsFormat:          &StandsRequest{Machine: "kv", Points: []ordering.Seq{7}},
		StandsResponseFormat:  &Stands{Node: "n1", Stand: []audit.Stand{stand}, Heard: []Heard{{Stand: stand, Ago: 8}}, Hindrance: "alone"},
		RecoverFormat:         &RecoverRequest{Machine: "kv", Base: last, Voters: []audit.ReplicaID{"n1"}, Reason: "fire"},
		RecoverResponseFormat: &RecoverResponse{Node: "n1", Recovery: []epochs.Recovery{recovery}, Moved: true, Error: "no"},
		ListFormat:            &ListRequest{Machine: "kv"},
		HostFormat:            &HostRequest{Machine: "kv", Create: true, Replicas: 3, MaxBytes: 1 << 30},
		HostResponseFormat:    &HostResponse{Node: "n1", Error: "no room"},
		NodeFormat: &Node{Name: "n1", Version: "v1", Profile: 1, Server: "nats://127.0.0.1:4222", Started: 7, Engine: "compiler",
			Machines: nil, Machine: []Machine{{Info: host.Info{Machine: "kv", Replica: "n1", Key: []byte{1}, Signature: []byte{2}, Recoveries: []epochs.Recovery{recovery}}, LogFirst: 1, LogLast: 9, LogBytes: 10, Tracker: "compare"}}},
	}
}

// What is sent arrives.
func TestMessages(t *testing.T) {
	for format, m := range messages() {
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface()
		data := format.Encode(m)
		if err := format.Decode(data, got); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if again := format.Encode(got); string(again) != string(data) {
			t.Errorf("%s: decoded to %+v, want %+v", format, got, m)
		}
	}
}

// FuzzMessages has whatever decodes encode to the same bytes, and nothing panic.
func FuzzMessages(f *testing.F) {
	for format, m := range messages() {
		f.Add(format.Encode(m))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for format, m := range messages() {
			v := reflect.New(reflect.TypeOf(m).Elem()).Interface()
			if format.Decode(data, v) == nil && string(format.Encode(v)) != string(data) {
				t.Errorf("%s: %x encodes to %x", format, data, format.Encode(v))
			}
		}
	})
}
