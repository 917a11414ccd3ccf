package jetstreamtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"lockstep/ordering/jetstream"
	"lockstep/ordering/jetstream/embedded"
)

// Outside are servers as an operator runs them: the nats-server program of the version in
// go.mod, with accounts, each configured by a file.
type Outside struct {
	*Processes
	// System is the login of an operator, in the system account.
	System jetstream.Login
}

// OutsideOptions differ from what is safe only where a test wants them to.
type OutsideOptions struct {
	SyncInterval string // default "always"
	Extra        string // more configuration, of each server
	JetStream    string // more configuration, within the jetstream block
	Account      string // JetStream of the nodes' account; default "enabled"
}

// binary is nats-server, built once for all tests of a process.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

func buildBinary() (program string, err error) {
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "lockstep-nats-server-"); binary.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", binary.dir, "github.com/nats-io/nats-server/v2").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("build nats-server: %w\n%s", err, out)
		}
	})
	return filepath.Join(binary.dir, "nats-server"), binary.err
}

// RemoveOutside removes what StartOutside has built; it is for the end of TestMain.
func RemoveOutside() {
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
}

// StartOutside starts n servers and waits until they are ready. They end with the test.
func StartOutside(t testing.TB, n int, o OutsideOptions) *Outside {
	t.Helper()
	program, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	all, urls := options(t, n, embedded.Options{})
	monitors := freeAddrs(t, n)
	key, seedFile := newUser(t)
	p := &Processes{urls: urls, procs: make([]*process, n), login: jetstream.Login{SeedFile: seedFile}}
	for i, e := range all {
		p.names, p.dirs = append(p.names, e.Name), append(p.dirs, e.Dir)
		if err := os.MkdirAll(e.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text := o.config(e, monitors[i], key)
		if err := os.WriteFile(filepath.Join(e.Dir, "nats.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.command = func(i int) *exec.Cmd {
		return exec.Command(program, "-c", filepath.Join(p.dirs[i], "nats.conf"), "-l", filepath.Join(p.dirs[i], "log"))
	}
	p.ready = func(ctx context.Context, i int) error { return healthy(ctx, monitors[i]) }
	p.start(t)
	return &Outside{Processes: p, System: jetstream.Login{User: systemUser, Password: systemUser}}
}

const systemUser = "system"

func (o OutsideOptions) config(e embedded.Options, monitor, key string) string {
	syncInterval, account := o.SyncInterval, o.Account
	if syncInterval == "" {
		syncInterval = "always"
	}
	if account == "" {
		account = "enabled"
	}
	text := fmt.Sprintf(`server_name: %s
listen: "127.0.0.1:%d"
http: "%s"
jetstream { store_dir: "%s", max_file: 64G, sync_interval: %s
%s }
accounts {
  SYS { users: [ { user: %s, password: %s } ] }
  NODES { jetstream: %s, users: [ { nkey: %s } ] }
}
system_account: SYS
%s
`, e.Name, e.ClientPort, monitor, e.Dir, syncInterval, o.JetStream, systemUser, systemUser, account, key, o.Extra)
	if e.Cluster == "" {
		return text
	}
	return text + fmt.Sprintf("cluster { name: %s, listen: \"%s\", routes: [\"nats://%s\"] }\n",
		e.Cluster, e.ClusterListen, strings.Join(e.Routes, `", "nats://`))
}

// newUser makes a key, and a file with its seed.
func newUser(t testing.TB) (public, seedFile string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	seedFile = filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(seedFile, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return public, seedFile
}

// healthy waits until a server says that it is.
func healthy(ctx context.Context, monitor string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+"/healthz?js-meta-only=true", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
