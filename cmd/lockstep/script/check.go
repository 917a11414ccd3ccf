package script

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"lockstep/host/daemon"
	"lockstep/wasmabi"
)

// checks are about the last result. What they return says what is otherwise.
var checks = map[string]func(*run, []string) error{
	"output": func(r *run, words []string) error {
		want, err := r.bytes(words)
		if err == nil && !bytes.Equal(r.last.Output, want) {
			err = fmt.Errorf("output is %s", shown(r.last.Output))
		}
		return err
	},
	"match": func(r *run, words []string) error { return matches("output", string(r.last.Output), words) },
	"log":   func(r *run, words []string) error { return matches("log", r.last.Log, words) },
	"code": func(r *run, words []string) error {
		word, err := one(words)
		if err == nil && (r.last.Status != wasmabi.Rejected || strconv.FormatUint(uint64(r.last.Code), 10) != word) {
			err = fmt.Errorf("%s", r.describe())
		}
		return err
	},
	"trap": func(r *run, words []string) error {
		if got, want := trapName(r.last), strings.Join(words, " "); got != want {
			return fmt.Errorf("%s", r.describe())
		}
		return nil
	},
	"gas": func(r *run, words []string) error {
		return atMost("gas", r.last.Gas, words, func(w string) (uint64, error) { return strconv.ParseUint(w, 10, 64) })
	},
	"memory": func(r *run, words []string) error {
		return atMost("memory", uint64(len(r.machine.Memory())), words, func(w string) (uint64, error) {
			var s daemon.Size
			err := s.UnmarshalText([]byte(w))
			return uint64(s), err
		})
	},
	"event": func(r *run, words []string) error {
		want, err := r.bytes(words)
		if err != nil {
			return err
		}
		if len(r.events) == 0 {
			return fmt.Errorf("there is no event, or no more")
		}
		got := r.events[0]
		r.events = r.events[1:]
		if !bytes.Equal(got, want) {
			return fmt.Errorf("event is %s", shown(got))
		}
		return nil
	},
	"timers": func(r *run, words []string) error {
		word, err := one(words)
		if err == nil && strconv.Itoa(r.timers) != word {
			err = fmt.Errorf("%d timers ran", r.timers)
		}
		return err
	},
	"same": func(r *run, words []string) error {
		s, err := r.snapshot(words)
		if root := r.machine.Root(); err == nil && root.Hex() != s.root {
			err = fmt.Errorf("root is %s, of the snapshot %s", root.Hex(), s.root)
		}
		return err
	},
}

func matches(what, text string, words []string) error {
	re, err := regexp.Compile(strings.Join(words, " "))
	if err != nil {
		return err
	}
	if !re.MatchString(text) {
		return fmt.Errorf("%s is %q", what, text)
	}
	return nil
}

func atMost(what string, got uint64, words []string, parse func(string) (uint64, error)) error {
	if len(words) != 2 || words[0] != "<=" {
		return fmt.Errorf("want %s <= N", what)
	}
	most, err := parse(words[1])
	if err != nil {
		return err
	}
	if got > most {
		return fmt.Errorf("%s is %d", what, got)
	}
	return nil
}
