// Package demo shows the whole life of one machine on three nodes in one
// process, step by step, with real figures, and checks every step.
package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is what a run found.
type Report struct {
	OK    bool   `json:"ok"`
	Steps []Step `json:"steps"`
	Error string `json:"error,omitempty"`
}

// Step is one thing shown. Figures have units in their names.
type Step struct {
	Name    string         `json:"name"`
	OK      bool           `json:"ok"`
	Figures map[string]any `json:"figures"`
	Failed  []string       `json:"failed,omitempty"` // the checks that did not hold
	lines   []string       // for a person
}

// set records a figure.
func (s *Step) set(name string, value any) { s.Figures[name] = value }

// say adds a line for a person.
func (s *Step) say(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// check records whether something that must hold does.
func (s *Step) check(ok bool, format string, args ...any) {
	if !ok {
		s.OK = false
		s.Failed = append(s.Failed, fmt.Sprintf(format, args...))
	}
}

// printer writes steps for a person, with a line that moves while one runs.
type printer struct {
	out  io.Writer // nil: nothing is printed
	live bool      // out is a terminal, so that a line may be written over
}

func (p printer) start(number int, name string) {
	if p.out != nil && p.live {
		fmt.Fprintf(p.out, "\r\x1b[K  … %d  %s", number, name)
	}
}

// progress writes over the line of the step that runs.
func (p printer) progress(number int, name, how string) {
	if p.out != nil && p.live {
		fmt.Fprintf(p.out, "\r\x1b[K  … %d  %s: %s", number, name, how)
	}
}

func (p printer) end(number int, s *Step, took time.Duration) {
	if p.out == nil {
		return
	}
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	mark := "ok  "
	if !s.OK {
		mark = "FAIL"
	}
	fmt.Fprintf(p.out, "%s %d  %-58s %6.1f s\n", mark, number, s.Name, took.Seconds())
	for _, line := range s.lines {
		fmt.Fprintf(p.out, "        %s\n", line)
	}
	for _, f := range s.Failed {
		fmt.Fprintf(p.out, "        did not hold: %s\n", f)
	}
}

func (p printer) say(format string, args ...any) {
	if p.out != nil {
		fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// count writes an integer with commas.
func count[T int | int64 | uint64](n T) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// size writes a number of bytes.
func size(n uint64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// ms writes a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// millis is the figure of a duration.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
