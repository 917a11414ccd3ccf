package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"lockstep/client"
	"lockstep/host/local"
	"lockstep/host/node"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// Defaults of Options.
const (
	DefaultCalls   = 20_000
	DefaultCallers = 64
)

// Options of a run. The zero value is the demo that users see.
type Options struct {
	Calls   int       // of the first step; 0 is DefaultCalls
	Callers int       // concurrent; 0 is DefaultCallers
	Dir     string    // kept if given; else a temporary folder that is removed
	Out     io.Writer // for a person; nil: nothing is printed
	Logger  *slog.Logger

	// URLs are servers elsewhere that keep the log, and Login the way in; else each
	// node has a server of its own.
	URLs  []string
	Login jetstream.Login
}

const (
	machine = ordering.Name("kv")
	// stepTimeout is how long any one thing may take that the demo waits for.
	stepTimeout = 30 * time.Second
	pollEvery   = 5 * time.Millisecond
)

// run is the state of one demo.
type run struct {
	opts    Options
	print   printer
	report  Report
	cluster *local.Cluster
	client  *client.Client
	// disconnect ends the client's connection.
	disconnect func()

	killed int // the node that step 2 kills

	mu     sync.Mutex
	events []node.Event
}

// Run runs the demo. The error is of what kept it from going on, or of ctx;
// checks that did not hold are in the report.
func Run(ctx context.Context, opts Options) (Report, error) {
	if opts.Calls == 0 {
		opts.Calls = DefaultCalls
	}
	if opts.Callers == 0 {
		opts.Callers = DefaultCallers
	}
	if opts.Calls < 1 || opts.Callers < 1 {
		return Report{}, fmt.Errorf("calls and callers must be at least 1")
	}
	r := &run{opts: opts, print: printer{out: opts.Out, live: isTerminal(opts.Out)}}
	dir := opts.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "lockstep-demo-"); err != nil {
			return Report{}, fmt.Errorf("make data folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
	} else if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return Report{}, fmt.Errorf("data folder %s is not empty: the demo begins with a new cluster", dir)
	}
	err := r.life(ctx, dir)
	r.report.OK = err == nil
	for _, s := range r.report.Steps {
		r.report.OK = r.report.OK && s.OK
	}
	if err != nil {
		r.report.Error = err.Error()
	}
	return r.report, err
}

// life is the demo from start to end.
func (r *run) life(ctx context.Context, dir string) (err error) {
	if r.opts.URLs == nil {
		r.print.say("Three nodes in this process, each with its own NATS server and disk under %s", dir)
	} else {
		r.print.say("Three nodes in this process, their disks under %s, the log on %v", dir, r.opts.URLs)
	}
	r.cluster, err = local.Start(ctx, local.Options{
		Dir: dir, Logger: r.opts.Logger, OnEvent: r.event, URLs: r.opts.URLs, Login: r.opts.Login,
	})
	if err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	steps := []struct {
		name string
		run  func(context.Context, *Step) error
	}{
		{"deploy; calls from concurrent callers, outputs by majority", r.deploy},
		{"kill the node that leads the log, under load", r.kill},
		{"CHECKPOINT; the log is cut up to it", r.checkpoint},
		{"the killed node comes back with its old disk", r.restart},
		{"a bit flips in one replica's memory", r.flip},
		{"UPGRADE of the guest to v2, under load", r.upgrade},
		{"a fourth node JOINs, one QUITs", r.members},
		{"the end: every replica in the same state", r.end},
	}
	for i, s := range steps {
		step := &Step{Name: s.name, OK: true, Figures: make(map[string]any)}
		r.print.start(i+1, s.name)
		began := time.Now()
		err := s.run(ctx, step)
		step.check(err == nil, "%v", err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.report.Steps = append(r.report.Steps, *step)
		r.print.end(i+1, step, time.Since(began))
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, s.name, err)
		}
	}
	return nil
}

func (r *run) close() error {
	var err error
	if r.client != nil {
		err = r.client.Close()
	}
	if r.disconnect != nil {
		r.disconnect()
	}
	return errors.Join(err, r.cluster.Close())
}

// event keeps what nodes report.
func (r *run) event(e node.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// mark is the number of events so far.
func (r *run) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// since returns the events after a mark that fit.
func (r *run) since(mark int, fits func(node.Event) bool) []node.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []node.Event
	for _, e := range r.events[mark:] {
		if fits(e) {
			list = append(list, e)
		}
	}
	return list
}

// await waits until a condition holds; what says what is waited for.
func await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
