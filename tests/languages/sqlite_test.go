package languages

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/description"
	"lockstep/guests/sdk/go/cbor"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/host/local"
	"lockstep/host/node"
)

const (
	callers  = 16
	accounts = 50
)

var statements = flag.Int("statements", 1000, "SQL statements that are replicated")

// Three replicas, of which one interprets, run statements from several clients
// at once. Every transfer adds what it takes away, so that the
// sums are known whatever the order was; and all replicas end in the same state.
func TestSQLiteReplicated(t *testing.T) {
	wasm := modules(t, "sqlite")["c"]
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, cl := hostSQL(ctx, t, wasm)
	exec := func(sql string, args ...any) string {
		w := new(cbor.Writer).Array(2 + len(args)).Text("exec").Text(sql)
		for _, a := range args {
			switch a := a.(type) {
			case int:
				w.Int(int64(a))
			case string:
				w.Text(a)
			}
		}
		out, err := cl.Call(ctx, w.Bytes)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			return ""
		}
		text, err := description.ToJSON(out.Bytes)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		return string(text)
	}
	exec("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
	exec("CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER, change INTEGER, at TEXT, nonce BLOB)")
	exec("CREATE TRIGGER move AFTER INSERT ON entry BEGIN UPDATE account SET balance = balance + new.change WHERE id = new.account; END")
	for i := range accounts {
		exec("INSERT INTO account VALUES (?, 1000)", i)
	}
	want := make([]int, accounts)
	for i := range want {
		want[i] = 1000
	}
	var wait sync.WaitGroup
	var mu sync.Mutex // of want
	for c := range callers {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(c)))
			for range *statements / callers {
				from, to, n := random.IntN(accounts), random.IntN(accounts), random.IntN(100)
				exec("INSERT INTO entry (account, change, at, nonce) VALUES (?1, -?3, datetime('now'), randomblob(4)), (?2, ?3, datetime('now'), randomblob(4))", from, to, n)
				mu.Lock()
				want[from] -= n
				want[to] += n
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for i, n := range want {
		if got := exec("SELECT balance FROM account WHERE id = ?", i); got != fmt.Sprintf("[[%d]]", n) {
			t.Errorf("account %d has %s, want %d", i, got, n)
		}
	}
	rows := *statements / callers * callers * 2
	if got, want := exec("SELECT count(*), sum(change), max(id) FROM entry"), fmt.Sprintf("[[%d,0,%d]]", rows, rows); got != want {
		t.Errorf("entries are %s, want %s", got, want)
	}
	sameRoots(ctx, t, cluster)
}

// hostSQL starts three nodes and deploys the guest.
func hostSQL(ctx context.Context, t *testing.T, wasm []byte) (*local.Cluster, *client.Client) {
	t.Helper()
	var run []*engine.Engine
	for _, kind := range []engine.Kind{engine.Compiler, engine.Compiler, engine.Interpreter} {
		e, err := engine.New(engine.Config{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		run = append(run, e)
	}
	cluster, err := local.Start(ctx, local.Options{Dir: t.TempDir(), Engines: run})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	if err := cluster.Host(ctx, "sql"); err != nil {
		t.Fatal(err)
	}
	cl, err := client.Connect(ctx, client.Options{Machine: "sql", URLs: cluster.URLs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	var voters []audit.ReplicaID
	for i := range cluster.Len() {
		voters = append(voters, cluster.Name(i))
	}
	if _, err := cl.Deploy(ctx, wasm, host.Config{AuditEvery: 64, InputGas: 20_000_000_000}, voters); err != nil {
		t.Fatal(err)
	}
	return cluster, cl
}

// sameRoots waits for all replicas to be at the end of the log, and compares.
func sameRoots(ctx context.Context, t *testing.T, cluster *local.Cluster) {
	t.Helper()
	var first string
	for i := range cluster.Len() {
		r := cluster.Node(i).Replica("sql")
		state := at(ctx, t, r, cluster.Node(0).Replica("sql"))
		if i == 0 {
			first = state
		}
		if state != first {
			t.Errorf("replica %d is at %s, the first at %s", i, state, first)
		}
	}
}

func at(ctx context.Context, t *testing.T, r, reference *node.Replica) (state string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		end, err := reference.LogState(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Do(ctx, func(m *host.Machine) {
			if m.Seq() == end.Last {
				state = fmt.Sprint(m.Position(), m.Root())
			}
		}); err != nil {
			t.Fatal(err)
		}
		if state != "" {
			return state
		}
		select {
		case <-ctx.Done():
			t.Fatal("replica did not arrive at the end of the log")
		case <-tick.C:
		}
	}
}
