package jetstream_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

func report(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, name+"-p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, name+"-p99-µs")
}

// BenchmarkLatency has one caller, one entry at a time, three servers, fsync before each
// acknowledgement. In turns, so that they meet the same machine: a bare JetStream
// publish (bare), Append (append), and the time from the call of Append until a reader on
// another server has the entry (read).
func BenchmarkLatency(b *testing.B) {
	c := jetstreamtest.Start(b, 3)
	ref := newRef()
	create(b, c, jetstream.Config{Ref: ref, Replicas: 3})
	leader := c.Leader(b, ref.StreamName())
	w, r := open(b, c, leader, ref), open(b, c, (leader+1)%3, ref)
	js, err := njs.New(c.Connect(b, leader))
	if err != nil {
		b.Fatal(err)
	}
	ctx := within(b, 10*time.Minute)
	data := make([]byte, 128)
	arrived := make(chan time.Time, 2)
	go func() {
		for next := ordering.Seq(1); ; {
			got, err := r.Read(ctx, next)
			if err != nil {
				return
			}
			for range got {
				arrived <- time.Now()
			}
			next += ordering.Seq(len(got))
		}
	}()
	var bare, app, read []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := js.Publish(ctx, ref.InputSubject(), data); err != nil {
			b.Fatal(err)
		}
		bare = append(bare, time.Since(start))
		<-arrived
		start = time.Now()
		if _, err := w.Append(ctx, data); err != nil {
			b.Fatal(err)
		}
		app = append(app, time.Since(start))
		read = append(read, (<-arrived).Sub(start))
	}
	report(b, "bare", bare)
	report(b, "append", app)
	report(b, "read", read)
}

// BenchmarkPipelined keeps 1,024 entries in flight: bare JetStream and AppendAsync.
func BenchmarkPipelined(b *testing.B) {
	c := jetstreamtest.Start(b, 3)
	data := make([]byte, 128)
	b.Run("bare", func(b *testing.B) {
		ref := newRef()
		create(b, c, jetstream.Config{Ref: ref, Replicas: 3})
		js, err := njs.New(c.Connect(b, c.Leader(b, ref.StreamName())), njs.WithPublishAsyncMaxPending(1024))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := js.PublishAsync(ref.InputSubject(), data, njs.WithStallWait(time.Minute)); err != nil {
				b.Fatal(err)
			}
		}
		<-js.PublishAsyncComplete()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("append", func(b *testing.B) {
		ref := newRef()
		create(b, c, jetstream.Config{Ref: ref, Replicas: 3})
		l, err := jetstream.NewAppender(c.Connect(b, c.Leader(b, ref.StreamName())), ref)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		slots := make(chan struct{}, 1024)
		var wg sync.WaitGroup
		for b.Loop() {
			slots <- struct{}{}
			wg.Add(1)
			if err := l.AppendAsync(data, func(_ ordering.Seq, err error) {
				if err != nil {
					b.Error(err)
				}
				<-slots
				wg.Done()
			}); err != nil {
				b.Fatal(err)
			}
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkCatchUp reads a log from its start that nobody appends to.
func BenchmarkCatchUp(b *testing.B) {
	const n = 20_000
	c := jetstreamtest.Start(b, 3)
	for _, size := range []int{128, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ref := newRef()
			create(b, c, jetstream.Config{Ref: ref, Replicas: 3})
			w := open(b, c, 0, ref)
			count := min(n, 128<<20/size)
			var wg sync.WaitGroup
			slots := make(chan struct{}, 512)
			data := make([]byte, size)
			for range count {
				slots <- struct{}{}
				wg.Add(1)
				if err := w.AppendAsync(data, func(_ ordering.Seq, err error) {
					if err != nil {
						b.Error(err)
					}
					<-slots
					wg.Done()
				}); err != nil {
					b.Fatal(err)
				}
			}
			wg.Wait()
			l := open(b, c, 1, ref)
			b.SetBytes(int64(count * size))
			for b.Loop() {
				readTo(b, l, 1, ordering.Seq(count))
			}
			b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
