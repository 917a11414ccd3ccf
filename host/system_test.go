package host

import (
	"reflect"
	"testing"

	"lockstep/audit"
	"lockstep/host/epochs"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
)

// Whatever a machine's system state has is in its root, and in a checkpoint: two states that differ in one
// thing have two roots, and one that is restored has the same.
func TestRootCoversSystem(t *testing.T) {
	remembers := func(client byte, r Receipt) func(s *system) {
		return func(s *system) {
			w, _ := s.sessions.open(Session{Client: ClientID{client}, Floor: 2}, 5)
			s.sessions.remember(w, r)
		}
	}
	kept := Receipt{Number: 3, Status: wasmabi.OK, Gas: 7, Output: []byte("kept")}
	cases := map[string]func(s *system){
		"machine":    func(s *system) { s.machine = "other" },
		"epoch":      func(s *system) { s.epoch = 2 },
		"seq":        func(s *system) { s.seq = 9 },
		"time":       func(s *system) { s.time = 11 },
		"chain":      func(s *system) { s.chain = ordering.Chain{1} },
		"deployed":   func(s *system) { s.deployed = true },
		"module":     func(s *system) { s.module = audit.Digest{1} },
		"config":     func(s *system) { s.config.InputGas = 77 },
		"members":    func(s *system) { s.members.List = []audit.Member{{ID: "a", Key: make([]byte, 32)}} },
		"sessions":   remembers(1, kept),
		"timers":     func(s *system) { s.timers.set([]Timer{{ID: 4, At: 20}}) },
		"events":     func(s *system) { s.events = 8 },
		"recoveries": func(s *system) { s.recoveries = []epochs.Recovery{{Epoch: 3}} },
	}
	if fields := reflect.TypeFor[system]().NumField(); fields != len(cases) {
		t.Errorf("the system state has %d fields, and %d are tried here", fields, len(cases))
	}
	more := map[string]func(s *system){
		"none":            func(*system) {},
		"voter":           func(s *system) { s.members.List = []audit.Member{{ID: "a", Key: make([]byte, 32), Voter: true}} },
		"members since":   func(s *system) { s.members.Seq = 6 },
		"another session": remembers(2, kept),
		"another number":  remembers(1, Receipt{Number: 4, Status: wasmabi.OK, Gas: 7, Output: []byte("kept")}),
		"another output":  remembers(1, Receipt{Number: 3, Status: wasmabi.OK, Gas: 7, Output: []byte("Kept")}),
		"another gas":     remembers(1, Receipt{Number: 3, Status: wasmabi.OK, Gas: 8, Output: []byte("kept")}),
		"another status":  remembers(1, Receipt{Number: 3, Status: wasmabi.Rejected, Gas: 7, Output: []byte("kept")}),
		"session used":    func(s *system) { s.sessions.open(Session{Client: ClientID{1}}, 5) },
		"used later":      func(s *system) { s.sessions.open(Session{Client: ClientID{1}}, 6) },
		"floor":           func(s *system) { s.sessions.open(Session{Client: ClientID{1}, Floor: 2}, 5) },
		"evicted":         func(s *system) { s.sessions.evicted = 4 },
		"another timer":   func(s *system) { s.timers.set([]Timer{{ID: 5, At: 20}}) },
		"timer later":     func(s *system) { s.timers.set([]Timer{{ID: 4, At: 21}}) },
	}
	for name, change := range more {
		cases[name] = change
	}
	manifest := func(s *system) snapshot.Manifest {
		m := New("", 0, nil)
		m.system = *s
		return m.Manifest()
	}
	roots := make(map[audit.Digest]string)
	for name, change := range cases {
		var s system
		change(&s)
		man := manifest(&s)
		if as, taken := roots[man.Root()]; taken {
			t.Errorf("%s and %s have one root", name, as)
		}
		roots[man.Root()] = name
		restored := system{machine: man.Machine, epoch: man.Epoch, seq: man.Seq, chain: man.Chain}
		if err := restored.decode(man.System); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if manifest(&restored).Root() != man.Root() {
			t.Errorf("%s: restored, it has another root", name)
		}
	}
}
