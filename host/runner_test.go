package host_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// BenchmarkFailures compares batches whose inputs all succeed with batches
// in which all, or every other one, fail.
func BenchmarkFailures(b *testing.B) {
	const inputs = 256
	for _, c := range []struct {
		name   string
		inputs [2][]byte
	}{{"all succeed", [2][]byte{count, count}}, {"all trap", [2][]byte{trap, trap}}, {"every other traps", [2][]byte{count, trap}}} {
		b.Run(c.name, func(b *testing.B) {
			m := deployed(b, newWorld(b, probe(b)), probe(b))
			var list [][]byte
			for range inputs / 2 {
				list = append(list, c.inputs[:]...)
			}
			next := uint64(2)
			for b.Loop() {
				m.apply(batch(next, next, list...))
				next += inputs
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*inputs), "ns/input")
		})
	}
}

// The log of an entry tells its first traps, and says that it tells no more: a guest that
// fails on purpose must not make its operator's log most of the work.
func TestFirstTrapsAreTold(t *testing.T) {
	const told = 16
	for _, n := range []int{1, told - 1, told, told + 1, 200} {
		m := deployed(t, newWorld(t, probe(t)), probe(t))
		list := [][]byte{count}
		for range n {
			list = append(list, trap)
		}
		done, receipts := m.apply(batch(2, 2, list...))
		log := string(done.Log)
		if got, want := strings.Count(log, "trap: "), min(n, told); got != want {
			t.Errorf("%d traps: %d told, want %d:\n%s", n, got, want, log)
		}
		if got, want := strings.Count(log, "no more traps"), n/told; got != min(want, 1) {
			t.Errorf("%d traps: said %d times that no more are told:\n%s", n, got, log)
		}
		for i, r := range receipts[1:] {
			if r.Status != wasmabi.Trapped {
				t.Errorf("input %d of %d: %v, want %v", i+1, n, r.Status, wasmabi.Trapped)
			}
		}
	}
}

// counting is a guest that counts what is asked of it.
type counting struct {
	host.Guest
	calls, undos, commits *int
}

func (c counting) Call(call host.Call) host.Outcome { *c.calls++; return c.Guest.Call(call) }
func (c counting) Undo()                            { *c.undos++; c.Guest.Undo() }
func (c counting) Commit() []uint32                 { *c.commits++; return c.Guest.Commit() }

// watched is a guest that tells how often it is watched, and by how many now.
type watched struct {
	host.Guest
	times, now *int
}

func (w watched) Watch() (stop func()) {
	*w.times++
	*w.now++
	return func() { *w.now-- }
}

// From the second failure of an entry on the guest is watched, and no longer than to its end.
func TestFailuresAreWatched(t *testing.T) {
	var times, now int
	w := newWorld(t, probe(t))
	b := &bench{t: t, world: w}
	b.Machine = host.New("test", instrument.Profile, func(d audit.Digest, c host.Config) (host.Guest, error) {
		g, err := w.load(d, c)
		return watched{g, &times, &now}, err
	})
	t.Cleanup(b.Close)
	b.apply(control(1, host.ControlDeploy, deployment(probe(t))))
	for i, tc := range []struct {
		inputs [][]byte
		want   int
	}{
		{[][]byte{count, count}, 0},
		{[][]byte{count, trap, count}, 0},
		{[][]byte{count, trap, trap}, 1},
		{[][]byte{trap, trap, count}, 1},
		{[][]byte{trap, count, trap, trap, count, trap}, 1},
	} {
		times = 0
		b.apply(batch(0, uint64(100*i+1), tc.inputs...))
		if times != tc.want || now != 0 {
			t.Errorf("entry %d: watched %d times, want %d; by %d afterwards", i, times, tc.want, now)
		}
	}
}

// However many inputs of a batch fail, and in whatever order, it costs the guest
// at most twice the calls: a good one runs at most once more, a failed one never
// again, and memory is undone once for each failure.
func TestFailuresCostCalls(t *testing.T) {
	const inputs = 200
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		odds := r.Float64()
		if seed == 0 {
			odds = 1 // all fail
		}
		var calls, undos, commits, failed int
		w := newWorld(t, probe(t))
		b := &bench{t: t, world: w}
		b.Machine = host.New("test", instrument.Profile, func(d audit.Digest, c host.Config) (host.Guest, error) {
			g, err := w.load(d, c)
			return counting{g, &calls, &undos, &commits}, err
		})
		t.Cleanup(b.Close)
		b.apply(control(1, host.ControlDeploy, deployment(probe(t))))
		var list [][]byte
		for range inputs {
			if r.Float64() < odds {
				list = append(list, trap)
				failed++
			} else {
				list = append(list, count)
			}
		}
		calls, undos, commits = 0, 0, 0
		b.apply(batch(0, 1, list...))
		if good := inputs - failed; calls > inputs+good || undos != failed || commits > failed+1 {
			t.Errorf("seed %d: %d inputs, %d of them fail: %d calls, %d undone, %d commits", seed, inputs, failed, calls, undos, commits)
		}
	}
}
