package e2e

import (
	"context"
	"encoding/json"
	"testing"

	"lockstep/cmd/lockstep/demo"
	"lockstep/ordering/jetstream/jetstreamtest"
)

// The demo is the whole life of a machine, and checks every step itself: with a server in
// each node, and with the log on servers that an operator runs, in processes of their own,
// with accounts.
func TestLife(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		life(t, demo.Options{Calls: 2000, Callers: 32, Logger: logger(t)})
	})
	t.Run("outside", func(t *testing.T) {
		c := jetstreamtest.StartOutside(t, 3, jetstreamtest.OutsideOptions{})
		life(t, demo.Options{Calls: 2000, Callers: 32, Logger: logger(t), URLs: c.URLs(), Login: c.Login()})
	})
}

func life(t *testing.T, options demo.Options) {
	t.Helper()
	report, err := demo.Run(within(t, 4*patience), options)
	if err != nil {
		t.Fatalf("%v\n%+v", err, report)
	}
	for _, s := range report.Steps {
		if !s.OK {
			t.Errorf("%s: %v", s.Name, s.Failed)
		}
	}
	if !report.OK || len(report.Steps) != 8 {
		t.Errorf("report is ok: %v, with %d steps", report.OK, len(report.Steps))
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		OK    bool
		Steps []struct {
			Name    string
			OK      bool
			Figures map[string]any
		}
	}
	if err := json.Unmarshal(text, &back); err != nil || !back.OK || len(back.Steps) != 8 {
		t.Errorf("report as JSON: %v\n%s", err, text)
	}
	for _, s := range back.Steps {
		if s.Name == "" || len(s.Figures) == 0 {
			t.Errorf("step %q has no figures", s.Name)
		}
	}
}

// A demo that cannot hold its promises says so: here it is interrupted.
func TestLifeInterrupted(t *testing.T) {
	ctx := within(t, patience)
	interrupted, interrupt := context.WithCancel(ctx)
	interrupt()
	report, err := demo.Run(interrupted, demo.Options{Calls: 100})
	if err == nil || report.OK {
		t.Errorf("an interrupted demo reports ok: %v, err: %v", report.OK, err)
	}
}
