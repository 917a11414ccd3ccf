package dev

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lockstep/client"
	"lockstep/cmd/lockstep/payload"
)

const help = `INPUT          call the machine with the input; hex:0102 and json:["add", 1] (as CBOR) are bytes
? INPUT        query it
status         where the replicas stand
checkpoint     order a checkpoint
help           this
quit           end (or ctrl-D)`

// do does what was typed; false is the end.
func (s *session) do(ctx context.Context, line string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch {
	case line == "":
	case line == "quit" || line == "exit":
		return false
	case line == "help":
		_, _ = fmt.Fprintln(s.Out, help)
	case line == "status":
		s.status(ctx)
	case line == "checkpoint":
		out, err := s.client.Checkpoint(ctx)
		if err != nil {
			s.fail(err)
		} else {
			s.say("checkpoint ordered at seq %d", out.Seq)
		}
	case strings.HasPrefix(line, "?"):
		s.ask(strings.TrimSpace(line[1:]), func(input []byte) (client.Output, error) {
			return s.client.Query(ctx, input, client.Linearizable)
		})
	default:
		s.ask(line, func(input []byte) (client.Output, error) { return s.client.Call(ctx, input) })
	}
	return true
}

func (s *session) ask(word string, how func([]byte) (client.Output, error)) {
	input, err := payload.Word(word)
	if err != nil {
		s.fail(err)
		return
	}
	began := time.Now()
	out, err := how(input)
	s.show(out, err, payload.ShownFor(word))
	if errors.As(err, new(*client.RejectedError)) && strings.HasPrefix(word, "[") {
		s.say("it was sent as typed; what begins with json: is sent as CBOR: json:%s", word)
	}
	if err == nil && s.Prompt {
		_, _ = fmt.Fprintln(s.Out, s.paint(dim, fmt.Sprintf("seq %d, %d gas, %v", out.Seq, out.Gas, time.Since(began).Round(time.Microsecond))))
	}
}

func (s *session) show(out client.Output, err error, form string) {
	if err != nil {
		s.fail(err)
		return
	}
	_ = payload.Show(s.Out, out.Bytes, form) // to a terminal, or to whoever reads
}

func (s *session) status(ctx context.Context) {
	infos, err := s.client.Infos(ctx)
	if err != nil {
		s.fail(err)
		return
	}
	for i := range infos {
		in := &infos[i]
		_, _ = fmt.Fprintf(s.Out, "%-4s %-10s seq %d, chain %x, module %.12s\n", in.Replica, in.Phase, in.Seq, in.Chain[:6], in.Module.Hex())
	}
}

// Colours of a terminal.
const (
	bold = "1"
	dim  = "2"
	red  = "31"
	cyan = "36"
)

func (s *session) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// say tells what happened.
func (s *session) say(format string, args ...any) {
	_, _ = fmt.Fprintln(s.Out, s.paint(cyan, "· "+fmt.Sprintf(format, args...)))
}

// fail tells what went wrong; the run goes on.
func (s *session) fail(err error) {
	_, _ = fmt.Fprintln(s.Out, s.paint(red, "error: "+err.Error()))
}
