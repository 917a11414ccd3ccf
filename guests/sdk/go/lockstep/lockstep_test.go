package lockstep

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code uint32
		text string
	}{
		{errors.New("no"), CodeError, "no"},
		{Reject(40, "busy"), 40, "busy"},
		{fmt.Errorf("apply: %w", Reject(40, "busy")), 40, "apply: busy"},
		{Reject(0, "code 0 would accept"), CodeError, "code 0 would accept"},
		{errUnsupported, CodeUnsupported, "not supported by this machine"},
	} {
		if code, text := verdict(tc.err); code != tc.code || string(text) != tc.text {
			t.Errorf("%v: got %d %q, want %d %q", tc.err, code, text, tc.code, tc.text)
		}
	}
}

func TestMock(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	m := &Mock{Seq: 7, Time: at, Caller: [32]byte{1}}
	ctx := m.Ctx()
	if ctx.Seq() != 7 || !ctx.Time().Equal(at) || ctx.Caller() != [32]byte{1} {
		t.Errorf("got seq %d, time %v, caller %x", ctx.Seq(), ctx.Time(), ctx.Caller())
	}
	ctx.Log("one")
	ctx.Log("two")
	ctx.Emit([]byte("done"))
	if len(m.Events) != 1 || string(m.Events[0]) != "done" {
		t.Errorf("got events %q", m.Events)
	}
	ctx.SetTimer(1, at.Add(time.Hour))
	ctx.SetTimer(2, at)
	ctx.StopTimer(2)
	if want := map[int64]time.Time{1: at.Add(time.Hour)}; !maps.Equal(m.Timers, want) {
		t.Errorf("got timers %v, want %v", m.Timers, want)
	}
	if !slices.Equal(m.Log, []string{"one", "two"}) {
		t.Errorf("got log %q", m.Log)
	}
	a, b, again := make([]byte, 16), make([]byte, 16), make([]byte, 32)
	ctx.Random(a)
	ctx.Random(b)
	new(Mock).Ctx().Random(again)
	if !slices.Equal(append(a, b...), again) || slices.Equal(a, b) {
		t.Errorf("random of one seed: got %x then %x, and %x", a, b, again)
	}
}

func TestRegisterTwicePanics(t *testing.T) {
	defer func() {
		machine = nil
		if recover() == nil {
			t.Error("a second machine was registered")
		}
	}()
	Register(nothing{})
	Register(nothing{})
}

type nothing struct{}

func (nothing) Apply(*Ctx, []byte) ([]byte, error) { return nil, nil }
