package linear

import (
	"context"
	"testing"

	"lockstep/tests/nodeproc"
)

// A bit of one of two replicas is flipped while the third one is down. Both go on and make checkpoints that differ, and
// nobody can say which of them is right. The third one, for which the log was cut too far, comes back by the last checkpoint
// that they had alike, and what it then has decides; so does a new one. Nor are
// the two to forget it when they are started again.
func TestUndecided(t *testing.T) {
	for name, comeBack := range map[string]func(*trial){
		"the third one comes back": func(tr *trial) { tr.cluster.Start(t, 2) },
		"the third one comes back, and the others were started again": func(tr *trial) {
			for i := range 3 {
				tr.cluster.Kill(i)
			}
			tr.cluster.Mend(t)
		},
		"another one is joined in its place": func(tr *trial) {
			fresh := tr.cluster.Add(t, -1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := tr.members.Replace(ctx, nodeproc.Replica(2), nodeproc.Replica(fresh)); err != nil {
				t.Fatal(err)
			}
			tr.voters[2] = fresh
		},
	} {
		t.Run(name, func(t *testing.T) { undecided(t, comeBack) })
	}
}

func undecided(t *testing.T, comeBack func(*trial)) {
	tr := start(t, "", 1)
	c := tr.members.Client
	tr.cluster.Kill(2)
	write := func(n int) {
		t.Helper()
		for i := range n {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := c.Call(ctx, operation{op: opWrite, a: 1, b: uint64(i)}.encode())
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(3 * 128)                             // and the log is cut where both have stored the same
	tr.cluster.Flip(t, 1, machine, mark, 8, 0) // register 0, which nobody writes
	write(5 * 128)
	comeBack(tr)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := c.Call(ctx, operation{op: opRead, a: 0}.encode())
	if err != nil || decode(out.Bytes) != say(0) {
		t.Errorf("register 0 is %v, %v, once there are three again; nobody wrote it", decode(out.Bytes), err)
	}
	write(32) // with an audit, so that the one that is wrong knows
	tr.oneState()
}
