package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/guesttest"
	"lockstep/host/local"
	lockstepjs "lockstep/ordering/jetstream"
	"lockstep/wasmabi"
)

// The bars of calls, against JetStream itself on the very servers in the same
// run: rounds of one and the other alternate, so that both have the same
// neighbours. Figures are medians over the rounds, with the lowest and highest.
//
//	go test ./tests/e2e -run '^$' -bench Call -benchtime 1x
const (
	benchRounds  = 7
	idleCalls    = 200
	roundLasts   = 1500 * time.Millisecond
	profiled     = 8 * time.Second
	benchCallers = 1024
	inputSize    = 128
)

// benched is a cluster with a machine, and a bare stream beside it with the
// same number of replicas and the same fsync.
type benched struct {
	b  *testing.B
	c  *local.Cluster
	js jetstream.JetStream
}

const bareSubject = "bare.in"

func benchCluster(b *testing.B, wasm []byte, config host.Config) *benched {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	c, err := local.Start(ctx, local.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if err := c.Host(ctx, "kv"); err != nil {
		b.Fatal(err)
	}
	s := &benched{b: b, c: c}
	cl := s.client()
	if _, err := cl.Deploy(ctx, wasm, config, []audit.ReplicaID{"n1", "n2", "n3"}); err != nil {
		b.Fatal(err)
	}
	conn, err := nats.Connect(c.URLs()[0], lockstepjs.ConnOptions("bare", nil)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	if s.js, err = jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(benchCallers)); err != nil {
		b.Fatal(err)
	}
	if _, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: "BARE", Subjects: []string{bareSubject}, Replicas: 3, Storage: jetstream.FileStorage, MaxBytes: 1 << 30}); err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *benched) client() *client.Client {
	s.b.Helper()
	cl, err := client.Connect(s.b.Context(), client.Options{Machine: "kv", URLs: s.c.URLs()[:1]})
	if err != nil {
		s.b.Fatal(err)
	}
	s.b.Cleanup(func() { _ = cl.Close() })
	return cl
}

// input is a put of 128 bytes in all.
func input(i int) []byte {
	key := fmt.Sprintf("k%07d", i%4096)
	return kv.Put(key, make([]byte, inputSize-2-len(key)))
}

// median returns the middle of the values, and says all that matters of them.
func median(values []float64) (float64, string) {
	slices.Sort(values)
	m := values[len(values)/2]
	return m, fmt.Sprintf("%.4g (%.4g to %.4g, %d rounds)", m, values[0], values[len(values)-1], len(values))
}

// p50 is the middle of the times that n runs of f take, in ms.
func (s *benched) p50(n int, f func() error) float64 {
	s.b.Helper()
	times := make([]float64, 0, n)
	for range n {
		began := time.Now()
		if err := f(); err != nil {
			s.b.Fatal(err)
		}
		times = append(times, time.Since(began).Seconds()*1000)
	}
	slices.Sort(times)
	return times[n/2]
}

// BenchmarkCallIdle: the p50 of an accepted call of a single caller is to be at
// most 2.5 times that of a bare publish.
func BenchmarkCallIdle(b *testing.B) {
	for _, mode := range []audit.Mode{audit.Majority, audit.Crash, audit.Signed} {
		b.Run(mode.String(), func(b *testing.B) {
			s := benchCluster(b, kv.V2, host.Config{Mode: mode})
			cl := s.client()
			for b.Loop() {
				var bare, calls, reads, ratios []float64
				for range benchRounds {
					bare = append(bare, s.p50(idleCalls, func() error {
						_, err := s.js.Publish(b.Context(), bareSubject, input(0))
						return err
					}))
					calls = append(calls, s.p50(idleCalls, func() error {
						_, err := cl.Call(b.Context(), input(0))
						return err
					}))
					reads = append(reads, s.p50(idleCalls, func() error {
						_, err := cl.Query(b.Context(), kv.Get("k0000000"), client.Linearizable)
						return err
					}))
					ratios = append(ratios, calls[len(calls)-1]/bare[len(bare)-1])
				}
				ratio, spread := median(ratios)
				_, bareText := median(bare)
				callMedian, callText := median(calls)
				readMedian, readText := median(reads)
				b.Logf("p50 in ms: publish %s, call %s, linearizable read %s; call / publish %s, bar 2.5", bareText, callText, readText, spread)
				b.ReportMetric(callMedian, "ms/call")
				b.ReportMetric(readMedian, "ms/read")
				b.ReportMetric(ratio, "call/publish")
			}
		})
	}
}

// BenchmarkCall1024: 1,024 callers of 128-byte inputs are to fill entries with at
// least 10 of them, and to have 5 times as many accepted as a bare publisher has
// single messages acknowledged. With a guest that does nothing, what calls cost is the
// platform's alone.
func BenchmarkCall1024(b *testing.B) {
	for _, tc := range []struct {
		name string
		wasm []byte
		mode audit.Mode
	}{
		{"majority", kv.V2, audit.Majority},
		{"signed", kv.V2, audit.Signed},
		{"empty/majority", guesttest.Module(b, "minimal"), audit.Majority},
		{"empty/signed", guesttest.Module(b, "minimal"), audit.Signed},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s := benchCluster(b, tc.wasm, host.Config{Mode: tc.mode})
			cl := s.client()
			for b.Loop() {
				var bare, calls, entries, ratios, cpuBare, cpuCalls []float64
				s.callAll(cl, roundLasts/3) // warm up
				for i := range benchRounds {
					used := processorTime(b)
					bare = append(bare, s.publishAll(roundLasts))
					cpuBare = append(cpuBare, used()/bare[i])
					lasts, stop := profile(b, i)
					used = processorTime(b)
					rate, perEntry := s.callAll(cl, lasts)
					cpuCalls = append(cpuCalls, used()/rate)
					stop()
					calls, entries = append(calls, rate), append(entries, perEntry)
					ratios = append(ratios, rate/bare[i])
				}
				ratio, spread := median(ratios)
				_, bareText := median(bare)
				rate, callText := median(calls)
				perEntry, entryText := median(entries)
				_, cpuBareText := median(cpuBare)
				cpu, cpuText := median(cpuCalls)
				b.Logf("messages/s %s; inputs/s %s; inputs/entry %s, bar 10; inputs / messages %s, bar 5", bareText, callText, entryText, spread)
				b.Logf("processor time in µs: a message %s; an input %s", cpuBareText, cpuText)
				b.ReportMetric(rate, "inputs/s")
				b.ReportMetric(cpu, "cpu-µs/input")
				b.ReportMetric(perEntry, "inputs/entry")
				b.ReportMetric(ratio, "inputs/message")
			}
		})
	}
}

// BenchmarkCallFailing: a guest whose inputs all trap, or every other one, is to answer at least
// a third of the calls that it answers where they succeed, however large its memory is.
func BenchmarkCallFailing(b *testing.B) {
	b.Run("128KiB", func(b *testing.B) {
		s := benchCluster(b, guesttest.Module(b, "probe"), host.Config{Mode: audit.Majority})
		s.callFailing(s.client(), counted)
	})
	b.Run("1GiB", func(b *testing.B) {
		const pages, part = 1 << 14, 16 << 20
		const never = 1 << 40 // to write a checkpoint of it would be most of what is measured
		s := benchCluster(b, largeProbe(b), host.Config{Mode: audit.Majority, MaxMemory: pages, CheckpointEvery: never})
		cl := s.client()
		order := func(command byte, args ...uint32) {
			in := []byte{command}
			for _, arg := range args {
				in = binary.LittleEndian.AppendUint32(in, arg)
			}
			if _, err := cl.Call(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
		order(probeGrow, pages-2)
		for at := part; at < pages<<16; at += part {
			order(probeFill, uint32(at), 1, part)
		}
		s.callFailing(cl, counted)
	})
	// Each caller stores to a page of its own, and these are spread over all of the memory.
	for _, mib := range []uint32{8, 64, 1024} {
		b.Run(fmt.Sprintf("scattered/%dMiB", mib), func(b *testing.B) {
			const never = 1 << 40
			s := benchCluster(b, guesttest.Module(b, "scatter"), host.Config{Mode: audit.Majority, MaxMemory: 16 * mib, CheckpointEvery: never})
			s.callFailing(s.client(), func(caller int, fails bool) []byte {
				in := make([]byte, inputSize)
				if fails {
					in[0] = 1
				}
				binary.LittleEndian.PutUint32(in[1:], uint32(caller)*(mib<<20/benchCallers)+64)
				return in
			})
		})
	}
}

// counted is an input of the probe guest that counts or traps.
func counted(_ int, fails bool) []byte {
	in := make([]byte, inputSize)
	if in[0] = probeCount; fails {
		in[0] = probeTrap
	}
	return in
}

// Commands of the probe guest.
const (
	probeCount = 1
	probeTrap  = 3
	probeGrow  = 6
	probeFill  = 28
)

// largeProbe is the probe guest with as much memory as it is given.
func largeProbe(b *testing.B) []byte {
	b.Helper()
	small, large := []byte{5, 4, 1, 1, 2, 9}, []byte{5, 3, 1, 0, 2} // the section of its memory, 2 pages or more
	wasm := guesttest.Module(b, "probe")
	if bytes.Count(wasm, small) != 1 {
		b.Fatal("the probe has not the memory that it had")
	}
	return bytes.Replace(wasm, small, large, 1)
}

func (s *benched) callFailing(cl *client.Client, input func(caller int, fails bool) []byte) {
	b := s.b
	round := func(d time.Duration, even, odd bool) float64 {
		fails := func(i int) bool { return [2]bool{even, odd}[i%2] }
		rate, _ := s.answerAll(cl, d, func(i int) []byte { return input(i, fails(i)) }, func(i int, err error) bool {
			if !fails(i) {
				return err == nil
			}
			var trap *client.TrapError
			return errors.As(err, &trap) && trap.Trap == wasmabi.Unreachable
		})
		return rate
	}
	for b.Loop() {
		var good, bad, mixed, badRatios, mixedRatios []float64
		round(roundLasts/3, false, false) // warm up
		for i := range benchRounds {
			good = append(good, round(roundLasts, false, false))
			bad = append(bad, round(roundLasts, true, true))
			mixed = append(mixed, round(roundLasts, false, true))
			badRatios, mixedRatios = append(badRatios, good[i]/bad[i]), append(mixedRatios, good[i]/mixed[i])
		}
		_, goodText := median(good)
		_, badText := median(bad)
		_, mixedText := median(mixed)
		allFail, allText := median(badRatios)
		halfFail, halfText := median(mixedRatios)
		b.Logf("calls/s: succeed %s, trap %s, every other traps %s; slower where all trap %s, where every other does %s, bar 3", goodText, badText, mixedText, allText, halfText)
		b.ReportMetric(allFail, "slower/all")
		b.ReportMetric(halfFail, "slower/half")
	}
}

// profile writes a CPU profile of the last round, which is a long one then, where LOCKSTEP_PROFILE
// names a file.
func profile(b *testing.B, round int) (lasts time.Duration, stop func()) {
	path := os.Getenv("LOCKSTEP_PROFILE")
	if path == "" || round != benchRounds-1 {
		return roundLasts, func() {}
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		b.Fatal(err)
	}
	return profiled, func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}

// processorTime returns a function that tells how many microseconds of processor
// time, user and system, the process has used a second since now: nodes, servers and
// callers together, for all of them are in it.
func processorTime(b *testing.B) (used func() float64) {
	b.Helper()
	total := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began, before := time.Now(), total()
	return func() float64 { return float64((total() - before).Microseconds()) / time.Since(began).Seconds() }
}

// publishAll publishes single messages for a while, 1,024 of them under way, and
// returns how many are acknowledged a second.
func (s *benched) publishAll(d time.Duration) float64 {
	s.b.Helper()
	began, n := time.Now(), 0
	for time.Since(began) < d {
		if _, err := s.js.PublishAsync(bareSubject, input(n), jetstream.WithStallWait(patience)); err != nil {
			s.b.Fatal(err)
		}
		n++
	}
	<-s.js.PublishAsyncComplete()
	return float64(n) / time.Since(began).Seconds()
}

// callAll is answerAll of puts that succeed.
func (s *benched) callAll(cl *client.Client, d time.Duration) (rate, perEntry float64) {
	return s.answerAll(cl, d, input, func(_ int, err error) bool { return err == nil })
}

// answerAll has 1,024 callers call for a while, and returns how many calls are
// answered a second and how many share an entry.
func (s *benched) answerAll(cl *client.Client, d time.Duration, input func(int) []byte, wanted func(int, error) bool) (rate, perEntry float64) {
	s.b.Helper()
	var calls atomic.Int64
	var first, last atomic.Uint64
	first.Store(1 << 62)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range benchCallers {
		wg.Go(func() {
			in := input(i)
			for time.Since(began) < d {
				out, err := cl.Call(s.b.Context(), in)
				if !wanted(i, err) {
					s.b.Errorf("caller %d: %v", i, err)
					return
				}
				calls.Add(1)
				for at := uint64(out.Seq); ; {
					if old := first.Load(); at >= old || first.CompareAndSwap(old, at) {
						break
					}
				}
				for at := uint64(out.Seq); ; {
					if old := last.Load(); at <= old || last.CompareAndSwap(old, at) {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	return float64(calls.Load()) / took, float64(calls.Load()) / float64(last.Load()-first.Load()+1)
}
