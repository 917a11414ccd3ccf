// Package script tests a guest by a script: what is asked, line by line, and
// what must come back. A script is a txtar archive, commands first, then files:
//
//	apply abc
//	output 3
//	gas <= 10000
//	! apply nonsense
//	code 16
//
// Commands ask the guest. With ! in front, it must not accept:
//
//	apply INPUT      run an input
//	query INPUT      ask for a read
//	advance 90s      move ordered time on; timers that fall due run
//	upgrade FILE     replace the guest, which must save and load its state
//	as NAME          speak for another client from here on
//	snapshot NAME    keep the whole state
//	restore NAME     bring it back into a new instance
//	reload           snapshot and restore at once: nothing may be forgotten
//
// Checks are about the last command's result, the last timer's after advance:
//
//	output BYTES     exactly this
//	match REGEXP     something like this
//	code N           the guest's code of rejection
//	trap NAME        such as unreachable, or "gas" for running out of it
//	gas <= N         at most so much gas
//	log REGEXP       the guest logged something like this
//	event BYTES      the next event that it emitted is this
//	timers N         so many timers ran
//	memory <= SIZE   the guest's memory, in bytes
//	same NAME        the state is that of a snapshot, log position included
//
// A guest that exports an invariant is asked for it after each command that may
// change its state; one that does not hold fails the script.
//
// INPUT and BYTES are a word, a quoted string as in Go, hex:0102, json:{...}
// (as CBOR), or @file from the archive. Without a check, a result has only to
// be accepted; with ! in front, a check must not hold.
package script

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rogpeppe/go-internal/txtar"

	"lockstep/cmd/lockstep/payload"
	"lockstep/host"
	"lockstep/host/hosttest"
	"lockstep/wasmabi"
)

// Failure is what a script wants and the guest does not do, or a mistake in it.
type Failure struct {
	File string
	Line int
	Text string // the line
	Why  string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s:%d: %s\n    %s", f.File, f.Line, f.Text, strings.ReplaceAll(f.Why, "\n", "\n    "))
}

// Result is what a script that passed has used.
type Result struct {
	Root     string // of the state at its end
	Commands int
	Gas      uint64
}

// snapshot is a state that a script has kept.
type snapshot struct {
	state hosttest.Snapshot
	root  string
}

// run is a script under way.
type run struct {
	machine   *hosttest.Machine
	files     map[string][]byte
	snapshots map[string]snapshot
	caller    host.ClientID
	last      hosttest.Result
	events    [][]byte // of the last result, not looked at yet
	timers    int
	result    Result
}

// Run runs a script against a guest. The error is a *Failure, or says why the
// guest cannot be deployed.
func Run(name string, text, wasm []byte, opts hosttest.Options) (Result, error) {
	archive := txtar.Parse(text)
	m, err := hosttest.New(wasm, opts)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	defer m.Close()
	r := &run{machine: m, files: make(map[string][]byte), snapshots: make(map[string]snapshot)}
	for _, f := range archive.Files {
		r.files[f.Name] = f.Data
	}
	r.take(m.Deployed())
	for i, line := range strings.Split(string(archive.Comment), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := r.line(line); err != nil {
			return r.result, &Failure{name, i + 1, line, err.Error()}
		}
	}
	root := m.Root()
	r.result.Root = root.Hex()
	return r.result, nil
}

// line runs one command or check.
func (r *run) line(line string) error {
	words, err := split(line)
	if err != nil {
		return err
	}
	refused := words[0] == "!"
	if refused {
		words = words[1:]
	}
	if len(words) == 0 {
		return fmt.Errorf("nothing follows '!' on the line")
	}
	if check, ok := checks[words[0]]; ok {
		err := check(r, words[1:])
		if refused && err == nil {
			return fmt.Errorf("it is so")
		}
		if refused {
			return nil
		}
		return err
	}
	command, ok := commands[words[0]]
	if !ok {
		return fmt.Errorf("there is no command %q", words[0])
	}
	r.last = hosttest.Result{}
	if err := command(r, words[1:]); err != nil {
		return err
	}
	r.result.Commands++
	if r.last.Broken != "" {
		return r.last.Err() // which no script may want
	}
	failed := r.last.Err()
	switch {
	case refused && failed == nil:
		return fmt.Errorf("accepted, with output %s", shown(r.last.Output))
	case !refused && failed != nil:
		return failed
	}
	return nil
}

// take makes a result the last one.
func (r *run) take(result hosttest.Result) {
	r.last, r.events = result, result.Events
	r.result.Gas += result.Gas
}

var commands = map[string]func(*run, []string) error{
	"apply": func(r *run, words []string) error {
		input, err := r.bytes(words)
		if err == nil {
			r.take(r.machine.ApplyAs(r.caller, input)[0])
		}
		return err
	},
	"query": func(r *run, words []string) error {
		input, err := r.bytes(words)
		if err == nil {
			r.take(r.machine.Query(input))
		}
		return err
	},
	"advance": func(r *run, words []string) error {
		word, err := one(words)
		if err != nil {
			return err
		}
		by, err := time.ParseDuration(word)
		if err != nil || by < 0 {
			return fmt.Errorf("%q is no duration, such as 90s", word)
		}
		ran := r.machine.Advance(by)
		r.timers = len(ran)
		for _, result := range ran {
			r.take(result)
			if result.Broken != "" {
				return result.Err()
			}
		}
		return nil
	},
	"upgrade": func(r *run, words []string) error {
		word, err := one(words)
		if err != nil {
			return err
		}
		wasm, ok := r.files[word]
		if !ok {
			if wasm, err = os.ReadFile(word); err != nil {
				return err
			}
		}
		r.take(r.machine.Upgrade(wasm))
		return nil
	},
	"as": func(r *run, words []string) error {
		word, err := one(words)
		r.caller = host.ClientID{}
		copy(r.caller[:], word)
		return err
	},
	"snapshot": func(r *run, words []string) error {
		word, err := one(words)
		root := r.machine.Root()
		r.snapshots[word] = snapshot{r.machine.Snapshot(), root.Hex()}
		return err
	},
	"restore": func(r *run, words []string) error {
		s, err := r.snapshot(words)
		if err == nil {
			r.machine.Restore(s.state)
		}
		return err
	},
	"reload": func(r *run, words []string) error {
		r.machine.Reload()
		return none(words)
	},
}

func (r *run) snapshot(words []string) (snapshot, error) {
	word, err := one(words)
	if err != nil {
		return snapshot{}, err
	}
	s, ok := r.snapshots[word]
	if !ok {
		return s, fmt.Errorf("there is no snapshot %q", word)
	}
	return s, nil
}

func one(words []string) (string, error) {
	if len(words) != 1 {
		return "", fmt.Errorf("want one word, there are %d", len(words))
	}
	return words[0], nil
}

func none(words []string) error {
	if len(words) != 0 {
		return fmt.Errorf("nothing may follow, there is %q", words[0])
	}
	return nil
}

// bytes are what the rest of a line means; without any it is empty.
func (r *run) bytes(words []string) ([]byte, error) {
	if len(words) == 0 {
		return nil, nil
	}
	word, err := one(words)
	if err != nil {
		return nil, fmt.Errorf("%w: quote what has spaces", err)
	}
	if name, ok := strings.CutPrefix(word, "@"); ok {
		data, ok := r.files[name]
		if !ok {
			return nil, fmt.Errorf("the archive has no file %q", name)
		}
		return data, nil
	}
	return payload.Word(word)
}

// split cuts a line into words; a word may be quoted as a string in Go, with "
// or with `.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if strings.HasPrefix(line, "json:") {
			return append(words, line), nil // to the end of the line, quotes and all
		}
		if line[0] == '"' || line[0] == '`' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("a quoted string does not end, or is none of Go's: %s", line)
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			words, line = append(words, word), line[len(quoted):]
			continue
		}
		end := strings.IndexFunc(line, unicode.IsSpace)
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words, nil
}

// shown is bytes as a script would have them.
func shown(b []byte) string {
	const most = 2000
	if len(b) > most {
		return fmt.Sprintf("%s and %d bytes more", shown(b[:most]), len(b)-most)
	}
	if payload.Printable(b) || bytes.IndexFunc(b, func(r rune) bool { return r == unicode.ReplacementChar }) < 0 {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("hex:%x", b)
}

// describe says what the last result is, for a check that does not hold.
func (r *run) describe() string {
	if err := r.last.Err(); err != nil {
		return err.Error()
	}
	return "accepted, with output " + shown(r.last.Output)
}

func trapName(r hosttest.Result) string {
	switch r.Status {
	case wasmabi.Trapped:
		return r.Trap.String()
	case wasmabi.OutOfGas:
		return "gas"
	}
	return ""
}
