package jetstream_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/jetstreamtest"
)

func TestLoginValidate(t *testing.T) {
	for _, c := range []struct {
		login jetstream.Login
		wrong string
	}{
		{jetstream.Login{}, ""},
		{jetstream.Login{User: "u", Password: "p"}, ""},
		{jetstream.Login{CertFile: "c", KeyFile: "k", SeedFile: "s"}, ""},
		{jetstream.Login{User: "u", Token: "t"}, "give one of"},
		{jetstream.Login{CredsFile: "c", SeedFile: "s"}, "give one of"},
		{jetstream.Login{Password: "p"}, "without a user"},
		{jetstream.Login{CertFile: "c"}, "needs its key"},
	} {
		err := c.login.Validate()
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %v, want %q", c.login, err, c.wrong)
		}
	}
}

// A login that cannot become right is an error at once, and not a wait.
func TestDial(t *testing.T) {
	c := jetstreamtest.StartOutside(t, 1, jetstreamtest.OutsideOptions{})
	empty := filepath.Join(t.TempDir(), "empty.nk")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []struct {
		name  string
		urls  []string
		login jetstream.Login
		want  string
	}{
		{"right", c.URLs(), c.Login(), ""},
		{"system", c.URLs(), c.System, ""},
		{"second server is there", []string{"nats://127.0.0.1:1", c.URLs()[0]}, c.Login(), ""},
		{"nobody", c.URLs(), jetstream.Login{}, "refuse the login"},
		{"wrong password", c.URLs(), jetstream.Login{User: "system", Password: "x"}, "refuse the login"},
		{"no seed in file", c.URLs(), jetstream.Login{SeedFile: empty}, "read seed file"},
		{"no file", c.URLs(), jetstream.Login{CredsFile: empty + ".creds"}, "no such file"},
		{"no certificate in file", c.URLs(), jetstream.Login{CAFile: empty}, "no certificate"},
		{"no server", nil, c.Login(), "no server is named"},
	} {
		t.Run(d.name, func(t *testing.T) {
			nc, err := jetstream.Dial(within(t, time.Minute), t.Name(), d.urls, d.login, nil)
			if err == nil {
				nc.Close()
			}
			if (err == nil) != (d.want == "") || err != nil && !strings.Contains(err.Error(), d.want) {
				t.Errorf("%v, want %q", err, d.want)
			}
		})
	}
	// A server that is not there is waited for, and no longer than one is told to.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := jetstream.Dial(ctx, t.Name(), []string{"nats://127.0.0.1:1"}, jetstream.Login{}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("without a server: %v", err)
	}
}
