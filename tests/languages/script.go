// Package languages runs the examples of all languages: the same requests, the
// same answers, on both engines, with equal roots.
package languages

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"lockstep/guests/description"
	"lockstep/host/hosttest"
	"lockstep/wasmabi"
)

// step is one line of a script and what became of it.
type step struct {
	line string
	want []string
}

// parse reads a script. Comments and empty lines are steps that do nothing, so
// that a script that is written again keeps them.
func parse(text string) (steps []step) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if result, ok := strings.CutPrefix(line, "\t= "); ok {
			last := &steps[len(steps)-1]
			last.want = append(last.want, result)
			continue
		}
		steps = append(steps, step{line: line})
	}
	return steps
}

func format(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.line + "\n")
		for _, w := range s.want {
			b.WriteString("\t= " + w + "\n")
		}
	}
	return b.String()
}

// run does what a line says and returns what became of it. upgrade is the
// module that the machine is upgraded to.
func run(m *hosttest.Machine, line string, upgrade []byte) ([]string, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "apply", "query":
		input, err := description.FromJSON([]byte(rest))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		return call(m, verb, input)
	case "apply-hex", "query-hex":
		input, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		return call(m, strings.TrimSuffix(verb, "-hex"), input)
	case "advance":
		by, err := time.ParseDuration(rest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		var results []string
		for _, r := range m.Advance(by) {
			became, err := show(r)
			if err != nil {
				return nil, err
			}
			results = append(results, fmt.Sprintf("timer %d: %s", r.Timer, strings.Join(became, "; ")))
		}
		return results, nil
	case "caller":
		m.Speak(clientOf(rest))
	case "reload":
		m.Reload()
	case "upgrade":
		if err := m.Upgrade(upgrade).Err(); err != nil {
			return nil, fmt.Errorf("upgrade: %w", err)
		}
	case "", "#":
	default:
		return nil, fmt.Errorf("%s: unknown line of a script", line)
	}
	return nil, nil
}

func call(m *hosttest.Machine, verb string, input []byte) ([]string, error) {
	if verb == "query" {
		return show(m.Query(input))
	}
	return show(m.Apply(input))
}

// show writes a result as a script has it.
func show(r hosttest.Result) ([]string, error) {
	var lines []string
	switch r.Status {
	case wasmabi.OK:
		answer := []byte("nothing")
		if len(r.Output) > 0 {
			var err error
			if answer, err = description.ToJSON(r.Output); err != nil {
				return nil, fmt.Errorf("answer %x: %w", r.Output, err)
			}
		}
		lines = append(lines, "ok "+string(answer))
	case wasmabi.Rejected:
		lines = append(lines, fmt.Sprintf("reject %d %s", r.Code, r.Output))
	default:
		lines = append(lines, r.Err().Error())
	}
	for _, e := range r.Events {
		text, err := description.ToJSON(e)
		if err != nil {
			return nil, fmt.Errorf("event %x: %w", e, err)
		}
		lines = append(lines, "event "+string(text))
	}
	return lines, nil
}

// clientOf is the id of a client of a short name.
func clientOf(name string) (id [32]byte) {
	copy(id[:], bytes.Repeat([]byte(name), 32))
	return id
}
