package linear

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"lockstep/host"
	"lockstep/tests/nodeproc"
)

// What a replica has in its journal is what the log has to prove, by its chain, that it goes on from. Without that a
// replica reads again after its state what the log has, and believes it.
const (
	checks   = "r.quietTo = j.Last().Seq // answered before, if at all"
	believes = "if true {\n\t\treturn j.Reset(at)\n\t}"
)

// A log that gives out positions a second time, as JetStream does where one server has lost data (nats-server #7567), takes
// nothing back that was accepted: the replicas find that it does not go on from what they have, and nothing is accepted
// until there is a way on. Of nodes that do not check it, which are right in all else, the same checks find that they answer wrongly.
func TestChainCheckOffIsCaught(t *testing.T) {
	believing := nodeproc.BuildEdited(t, "host/node/journal.go", checks, believes)
	for _, c := range []struct {
		name, program string
		wrong         bool
	}{{"on", "", false}, {"off", believing, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tr := startWith(t, c.program, 1, host.Config{MaxMemory: 2, AuditEvery: 16, CheckpointEvery: 1 << 20})
			r := newRecorder()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var done sync.WaitGroup
			for k := range callers {
				c := connect(t, tr.cluster)
				done.Go(func() { r.run(ctx, t, c, uint64(k)) })
			}
			mend := tr.givenTwice()
			tr.pause(ctx, 3000, 3001) // for answers, if there are any
			if !c.wrong {
				mend()
				tr.oneState()
			}
			cancel()
			done.Wait()
			if !c.wrong {
				r.end(t, connect(t, tr.cluster))
				tr.oneState()
			}
			err := judge(r.calls)
			if (err != nil) != c.wrong {
				t.Errorf("the checks say: %v", err)
			}
			t.Logf("%d calls, %d without an answer; the checks say: %v", len(r.calls), r.calls.open(), err)
		})
	}
}

// givenTwice has positions of the log given out a second time: one node is down while the others take inputs; then the
// server of one of these is as it was before, and the third one is stopped.
func (tr *trial) givenTwice() (mend func()) {
	t := tr.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n0 := tr.leader(ctx)
	n1, n2 := (n0+1)%3, (n0+2)%3
	log := filepath.Join(tr.cluster.Dir(n1), "log")
	before := filepath.Join(t.TempDir(), "log")
	tr.pause(ctx, 500, 501)
	tr.cluster.Kill(n1)
	if err := os.CopyFS(before, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	tr.cluster.Start(t, n1)
	tr.awaitVoting(n1)
	tr.cluster.Kill(n2)
	tr.pause(ctx, 1500, 1501)
	tr.cluster.Kill(n1)
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(log, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	tr.cluster.Pause(n0)
	tr.cluster.Relaunch(t, n1)
	tr.cluster.Relaunch(t, n2)
	tr.cluster.Await(t, n1)
	tr.cluster.Await(t, n2)
	return func() { tr.cluster.Resume(n0) }
}

// awaitVoting waits until a node votes again.
func (tr *trial) awaitVoting(n int) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(tr.t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		infos, _ := tr.members.Client.Infos(ctx) // none, until one comes
		if slices.ContainsFunc(infos, func(in host.Info) bool { return in.Replica == nodeproc.Replica(n) && in.Phase == host.PhaseVoting }) {
			return
		}
	}
	tr.t.Fatalf("%s does not come to vote", nodeproc.Name(n))
}
