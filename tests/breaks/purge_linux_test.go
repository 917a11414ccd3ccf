package breaks

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/tests/nodeproc"
)

// With one voter of three down, a majority of checkpoints is those of both others. As long as one of these has no room for its
// own, the log is cut nowhere, though a voter has stored what is beyond; once it has, the log is cut, and the one that
// was down, which is behind that, is brought the pages that differ.
func TestPurgeWaitsForCheckpoints(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	full := p.fill()
	first := p.leader()
	cramped, down := (first+1)%3, (first+2)%3
	p.count(p.cl, 1, 10)
	nodeproc.OneState(t, p.cl, 3) // so that what comes is little
	p.Kill(cramped)
	room := p.smallStore(cramped)
	p.Start(t, cramped)
	p.awaitVoters(1, 0, 1, 2)
	p.Kill(down)

	begins := p.logFirst()
	room.fill()
	p.count(p.cl, 11, 30)
	for range 2 { // the first one is judged, at the latest, when there is a second one
		seq := p.checkpointed(first)
		if s := p.infosOf(cramped)[nodeproc.Replica(cramped)]; s.Seq < seq || s.Phase != host.PhaseVoting || stored(s, seq) {
			t.Fatalf("%s is to vote, and to have no checkpoint at seq %d: it is at %d, %v, with %v", s.Replica, seq, s.Seq, s.Phase, s.Stored)
		}
	}
	p.count(p.cl, 31, 50)
	if at := p.logFirst(); at != begins {
		t.Fatalf("the log begins at %d, no more at %d, though one of three voters alone has a checkpoint beyond", at, begins)
	}

	room.free()
	await(t, "the log to be cut", func() bool { // as soon as the voter has saved one
		p.checkpointed(first)
		return p.logFirst() > begins+20
	})
	p.Start(t, down)
	p.count(p.cl, 51, 60)
	nodeproc.OneState(t, p.cl, 3)
	brought, size := p.Moved(t, down)
	t.Logf("it was brought %d bytes of a state of %d", brought, size)
	if brought == 0 || brought > full/4 {
		t.Errorf("the one that was behind was brought %d bytes, of values of %d", brought, full)
	}
}

// checkpointed orders a checkpoint and waits until a node has stored it, and all that run have come there.
func (p *processes) checkpointed(n int) ordering.Seq {
	p.t.Helper()
	out, err := p.cl.Checkpoint(within(p.t, patience))
	if err != nil {
		p.t.Fatal(err)
	}
	await(p.t, "a checkpoint to be stored", func() bool {
		infos, running := p.infos(), 0
		for i := range p.Len() {
			if in, ok := infos[nodeproc.Replica(i)]; ok && in.Seq >= out.Seq {
				running++
			}
		}
		return running == 2 && stored(infos[nodeproc.Replica(n)], out.Seq)
	})
	return out.Seq
}

func stored(in host.Info, seq ordering.Seq) bool {
	return slices.ContainsFunc(in.Stored, func(s host.Stored) bool { return s.Seq == seq })
}

// smallStore is a disk in memory on which a node keeps its checkpoints.
type smallStore struct {
	t   *testing.T
	dir string
}

// smallStore gives a node that does not run a disk of its own for its checkpoints.
func (p *processes) smallStore(i int) smallStore {
	p.t.Helper()
	s := smallStore{p.t, filepath.Join(p.Dir(i), "node", "state")}
	aside := s.dir + ".aside"
	if err := errors.Join(os.Rename(s.dir, aside), os.Mkdir(s.dir, 0o700)); err != nil {
		p.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.dir, "tmpfs", 0, "size=200m"); err != nil {
		p.t.Skipf("no disk of its own here: %v; package audit tests what lets a log be cut", err)
	}
	p.t.Cleanup(func() {
		p.Kill(i)
		if err := syscall.Unmount(s.dir, 0); err != nil {
			p.t.Error(err)
		}
	})
	if err := os.CopyFS(s.dir, os.DirFS(aside)); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// fill leaves so little that no checkpoint is saved, and all else goes on.
func (s smallStore) fill() {
	s.t.Helper()
	const left = 24 << 20
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &disk); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.other(), make([]byte, int64(disk.Bavail)*disk.Bsize-left), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s smallStore) free() {
	s.t.Helper()
	if err := os.Remove(s.other()); err != nil {
		s.t.Fatal(err)
	}
}

func (s smallStore) other() string { return filepath.Join(s.dir, "others") }
