package screen

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/cmd/lockstep/screen/screentest"
)

// patience is how long anything may take that a test waits for.
const patience = 60 * time.Second

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// However it ends, the terminal is as it was; until then it shows what is new, at the size that it has.
func TestLive(t *testing.T) {
	for name, end := range map[string]func(p *screentest.Pty, cancel func()){
		"q":      func(p *screentest.Pty, _ func()) { p.Press(t, "xq") },
		"ctrl-C": func(p *screentest.Pty, _ func()) { p.Press(t, "\x03") },
		"signal": func(_ *screentest.Pty, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			p := screentest.OpenPty(t, 20, 5)
			before := p.Mode(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			ended := make(chan error, 1)
			go func() {
				ended <- Live(ctx, p.Program, p.Program, time.Millisecond, func(context.Context) []string {
					n++
					return []string{fmt.Sprintf("look %d, and much that is cut", n), "", "end"}
				})
			}()
			await(t, "the third look", func() bool {
				return strings.HasPrefix(p.Text(), "look ") && !strings.HasPrefix(p.Text(), "look 1,") && strings.Contains(p.Text(), "\n\nend\n")
			})
			if first, _, _ := strings.Cut(p.Text(), "\n"); len(first) > 20 || strings.Contains(p.Text(), "is cut") {
				t.Errorf("a long line is shown as\n%s", p.Text())
			}
			if p.Mode(t) == before {
				t.Error("keys are not taken one by one")
			}
			p.SetSize(t, 60, 2)
			await(t, "a frame for the new size", func() bool { return strings.Contains(p.Text(), "is cut\n… and 2 lines more\n") })
			end(p, cancel)
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Fatal("it does not end")
			}
			await(t, "a terminal that is as it was", func() bool { return p.Left() == "" && strings.TrimSpace(p.Text()) == "" })
			if got := p.Mode(t); got != before {
				t.Errorf("the terminal's mode is %+v, was %+v", got, before)
			}
		})
	}
}

// While a look takes long, a key ends it all the same.
func TestLiveEndsInALook(t *testing.T) {
	p := screentest.OpenPty(t, 20, 5)
	ended := make(chan error, 1)
	looking := make(chan struct{})
	go func() {
		ended <- Live(t.Context(), p.Program, p.Program, time.Hour, func(ctx context.Context) []string {
			close(looking)
			<-ctx.Done()
			return nil
		})
	}()
	<-looking
	p.Press(t, "q")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
}
