// Package dev runs a guest on three replicas in this process while it is being
// written: what is typed is called, what the guest logs is shown, and when its
// source changes it is built and swapped by an ordered upgrade, its state kept.
package dev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/cmd/lockstep/project"
	"lockstep/host"
	"lockstep/host/admin"
	"lockstep/host/daemon"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/ordering"
	"lockstep/wasmabi/instrument"
)

// Options of a run. Project, Machine, In and Out are required.
type Options struct {
	Project project.Project
	Machine ordering.Name
	Config  host.Config // of a machine that is not there from before
	Dir     string      // for data, kept; "" is a temporary folder that is removed
	Watch   bool
	In      io.Reader // lines to call
	Out     io.Writer
	Prompt  bool             // a person types
	Color   bool             // and sees colours
	Logger  *slog.Logger     // of the nodes; nil: none
	Engines []*engine.Engine // that the nodes run the guest on, in turns; none: one of their own
	Version string
}

// patience is how long a call or a swap may take.
const patience = time.Minute

// session is a run.
type session struct {
	Options
	cluster *local.Cluster
	client  *client.Client
	module  audit.Digest // that runs
}

// Run runs until In ends, "quit" is typed or ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	s := &session{Options: o}
	wasm, err := s.build(ctx)
	if err != nil {
		return err
	}
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "lockstep-dev-"); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	options := local.Options{Dir: dir, Logger: o.Logger}
	if n := len(o.Engines); n > 0 {
		options.Engines = []*engine.Engine{o.Engines[0], o.Engines[1%n], o.Engines[2%n]}
	}
	s.cluster, err = local.Start(ctx, options)
	if err != nil {
		return fmt.Errorf("start nodes: %w", err)
	}
	defer func() { err = errors.Join(err, s.cluster.Close()) }()
	if err := s.open(ctx, wasm); err != nil {
		return err
	}
	defer func() { _ = s.client.Close() }() // whatever was under way was shown
	err = s.loop(ctx)
	s.drain(ctx)
	return err
}

// drainPatience bounds how long a run waits at its end for what the guest still has to say.
const drainPatience = 2 * time.Second

// drain waits until the first node, whose guest's log is shown, has come to the end of the log: what was
// called last may have been answered by the others before it ran there.
func (s *session) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	first := s.cluster.Node(0).Replica(s.Machine)
	state, err := first.LogState(ctx)
	for err == nil && first.Info().Seq < state.Last {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// build builds the guest and checks it here, for errors with names of functions.
func (s *session) build(ctx context.Context) ([]byte, error) {
	if err := s.Project.Make(ctx); err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(s.Project.Module())
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	if _, err := instrument.Instrument(wasm, instrument.Config{Contract: true, MaxMemoryPages: s.Config.Resolve(0).MaxMemory}); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Project.Module(), err)
	}
	return wasm, nil
}

// open makes the machine, or finds it in a data folder that was kept.
func (s *session) open(ctx context.Context, wasm []byte) (err error) {
	if err := s.cluster.Host(ctx, s.Machine); err != nil {
		return err
	}
	var voters []audit.ReplicaID
	for i := range s.cluster.Len() {
		conn, err := s.cluster.Connect(ctx, "lockstep dev")
		if err != nil {
			return err
		}
		desk := &daemon.Desk{Node: s.cluster.Node(i), Conn: conn, Self: admin.Node{Version: s.Version, Server: s.cluster.URLs()[i], Engine: s.cluster.Engine(i).Kind().String()}, Logger: s.logger()}
		if err := desk.Serve(); err != nil {
			return err
		}
		voters = append(voters, s.cluster.Name(i))
	}
	if s.client, err = client.Connect(ctx, client.Options{Machine: string(s.Machine), URLs: s.cluster.URLs()}); err != nil {
		return err
	}
	infos, err := s.client.Infos(ctx)
	if err != nil {
		return err
	}
	for i := range infos {
		if infos[i].Deployed {
			s.module = infos[i].Module
			s.say("machine %s is here from before, at seq %d", s.Machine, infos[i].Seq)
			if s.Config != (host.Config{}) {
				s.say("it keeps the bounds that it was made with: those that are given now are for a machine in another data folder")
			}
			s.swap(ctx, wasm)
			s.welcome()
			return nil
		}
	}
	out, err := s.client.Deploy(ctx, wasm, s.Config, voters)
	if err != nil {
		return err
	}
	s.module = host.ModuleDigest(wasm)
	s.say("machine %s runs on %d replicas; init took %d gas", s.Machine, len(voters), out.Gas)
	s.welcome()
	return nil
}

func (s *session) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

func (s *session) welcome() {
	if len(s.Engines) > 1 {
		for i := range s.cluster.Len() {
			s.say("%s: %v", s.cluster.Name(i), s.cluster.Engine(i).Kind())
		}
	}
	s.say("other terminals: --server %s", s.cluster.URLs()[0])
	if s.Prompt {
		s.say("type an input to call, ? and an input to query, help for more")
	}
}

// loop does what is typed and what changes, one at a time.
func (s *session) loop(ctx context.Context) error {
	lines := s.lines()
	changed, stop, err := s.watch()
	if err != nil {
		return err
	}
	defer stop()
	s.prompt()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more || !s.do(ctx, line) {
				return nil
			}
		case <-changed:
			s.rebuild(ctx)
		}
		s.prompt()
	}
}

func (s *session) lines() <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(s.In)
		in.Buffer(nil, 4<<20)
		for in.Scan() {
			lines <- strings.TrimSpace(in.Text())
		}
	}()
	return lines
}

func (s *session) prompt() {
	if s.Prompt {
		_, _ = fmt.Fprint(s.Out, s.paint(bold, string(s.Machine)+"> "))
	}
}

// rebuild builds what has changed and swaps it in. What goes wrong is shown,
// and the old guest goes on.
func (s *session) rebuild(ctx context.Context) {
	s.say("source changed, building")
	wasm, err := s.build(ctx)
	if err != nil {
		s.fail(err)
		return
	}
	s.swap(ctx, wasm)
}

// swap orders an upgrade, unless the module is the one that runs.
func (s *session) swap(ctx context.Context, wasm []byte) {
	digest := host.ModuleDigest(wasm)
	if digest == s.module {
		s.say("module is the same")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := s.client.Upgrade(ctx, wasm)
	var refused *client.RefusedError
	if errors.As(err, &refused) && refused.Refusal == host.RefusedUpgrade {
		s.fail(fmt.Errorf("%w\nthe old guest goes on; a guest keeps its state by lockstep_save and lockstep_load", err))
		return
	}
	if err != nil {
		s.fail(err)
		return
	}
	s.module = digest
	s.say("upgraded at seq %d, state kept", out.Seq)
}
