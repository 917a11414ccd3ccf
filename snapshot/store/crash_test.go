package store

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"lockstep/ordering"
)

// A power cut at any moment keeps what was synced, and of the rest any blocks,
// in any order: writes are torn, files and their names are there or not. Every
// checkpoint that is listed afterwards is whole, and every one that Save told of
// is listed.
func TestPowerCutAtAnyWrite(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 9))
		disk := vfs.NewCrashableMem()
		lost := rand.New(rand.NewPCG(seed, 10)) // of whoever writes, which is not always this goroutine
		cut := &cutter{FS: disk, at: 1 + r.IntN(40), cut: func() *vfs.MemFS {
			return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: lost.IntN(101), RNG: lost})
		}}
		s, err := open("store", cut, false)
		if err != nil {
			t.Fatal(err)
		}
		m := newMachine("m")
		states := make(map[ordering.Seq][]byte)
		for range 30 {
			m.step(r)
			states[m.seq] = bytes.Clone(m.memory)
			save(t, s, m.checkpoint())
			cut.saved(m.seq)
			if err := s.Expire("m", Retention{Newest: 2, Agreed: m.seq}); err != nil {
				t.Fatal(err)
			}
		}
		cut.end()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		checkAfterCut(t, cut, states)
	}
}

func checkAfterCut(t *testing.T, c *cutter, states map[ordering.Seq][]byte) {
	t.Helper()
	s, err := open("store", c.after, false)
	if err != nil {
		t.Fatalf("open after a power cut: %v", err)
	}
	defer func() { _ = s.Close() }()
	list, err := s.List("m")
	if err != nil {
		t.Fatal(err)
	}
	for _, man := range list {
		wantState(t, s, man, states[man.Seq])
	}
	if last := c.told; last > 0 && (len(list) == 0 || list[len(list)-1].Seq < last) {
		t.Errorf("checkpoint %d was saved, and after a power cut at write %d it is not there", last, c.at)
	}
}
