package host_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep/host"
	"lockstep/host/guesttest"
	"lockstep/ordering"
	"lockstep/wasmabi"
)

// BenchmarkEmptyApply measures what the host adds to an input whose guest does
// nothing, in entries of one input and of many: from the decoded entry to its sealed
// receipts, session, commit and audits included. What an entry costs by itself (the
// chain, the search for written pages) is shared by its inputs. Entries are decoded ahead,
// elsewhere, so that this is told by itself.
func BenchmarkEmptyApply(b *testing.B) {
	wasm := guesttest.Module(b, "minimal")
	module := host.ModuleDigest(wasm)
	deploy := host.Deploy{Machine: "test", Module: module, Members: members, Holders: holdings(module, "a", "c")} // by default config
	for _, inputs := range []int{1, 16, 256, host.MaxBatch} {
		b.Run(fmt.Sprint(inputs), func(b *testing.B) {
			m := newBench(b, newWorld(b, wasm))
			m.apply(control(1, host.ControlDeploy, host.DeployFormat.Encode(deploy)))
			payloads := make([][]byte, inputs)
			next, entries := uint64(1), make([]ordering.Entry, 64)
			var parsing, applying time.Duration
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if n%len(entries) == 0 {
					b.StopTimer()
					for i := range entries {
						m.time += 1000
						data := batch(next, next, payloads...)
						entries[i] = ordering.Entry{Epoch: 1, Seq: m.Seq() + 1 + ordering.Seq(i), Time: m.time, Data: data}
						next += uint64(inputs)
					}
					b.StartTimer()
				}
				start := time.Now()
				p := host.Parse("test", entries[n%len(entries)])
				parsed := time.Now()
				t, err := m.ApplyParsed(p)
				applying += time.Since(parsed)
				parsing += parsed.Sub(start)
				if err != nil {
					b.Fatal(err)
				}
				if done := t.Reply.Statuses[wasmabi.OK]; int(done) != inputs {
					b.Fatalf("%d of %d inputs were applied", done, inputs)
				}
				n++
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(parsing.Nanoseconds())/float64(n*inputs), "parse-ns/input")
			b.ReportMetric(float64(applying.Nanoseconds())/float64(n*inputs), "apply-ns/input")
		})
	}
}
