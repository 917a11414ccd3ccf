package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/client/contexts"
	"lockstep/guests/examples/kv"
)

// patience is how long anything may take that a test waits for.
const patience = 90 * time.Second

// leaving is how long a node may take to end.
const leaving = 20 * time.Second

// processes are those processes of a cluster that lockstep init has founded.
type processes struct {
	t    *testing.T
	dir  string
	port int
	room string // that each node may reserve for logs
	cmds [3]*exec.Cmd
}

// lockstep runs the command and returns what it prints, and its exit code.
func (n *processes) lockstep(args ...string) (stdout, stderr string, code int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Dir = n.dir
	c.Env = append(os.Environ(), envMain+"=1", "XDG_CONFIG_HOME="+filepath.Join(n.dir, "config"))
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // the code says it
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// must runs the command, which must succeed.
func (n *processes) must(args ...string) string {
	n.t.Helper()
	out, errs, code := n.lockstep(args...)
	if code != exitOK {
		n.t.Fatalf("lockstep %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// freePort finds a port p so that p, p+2000 and p+4000 and the two after each are free.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		p := 10_000 + rand.IntN(18_000) // below those that outgoing connections take, also while a node is down
		if !allFree(p) {
			continue
		}
		return p
	}
	t.Fatal("no free ports")
	return 0
}

func allFree(p int) bool {
	for _, base := range []int{p, p + 2000, p + 4000} {
		for i := range 3 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				return false
			}
			_ = l.Close()
		}
	}
	return true
}

func founded(t *testing.T) *processes {
	t.Helper()
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t), room: "64GiB"}
	n.must("init", "c", "--use", "c", "--port", fmt.Sprint(n.port))
	t.Cleanup(func() {
		for i := range n.cmds {
			n.end(i, syscall.SIGKILL)
		}
	})
	return n
}

// start starts a node; the channel tells when it is ready.
func (n *processes) start(i int) <-chan error {
	n.t.Helper()
	c := exec.Command(os.Args[0], "node", "-c", filepath.Join(n.dir, "c", fmt.Sprintf("n%d", i+1), "node.toml"), "--log-level", first(os.Getenv("LOCKSTEP_TEST_LOG"), "error"))
	c.Env = append(os.Environ(), envMain+"=1", "LOCKSTEP_MAX_STORE="+n.room)
	c.Stderr = n.t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmds[i] = c
	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && !strings.Contains(line, "is ready") {
			err = fmt.Errorf("node says %q", line)
		}
		ready <- err
	}()
	return ready
}

func (n *processes) startAll() {
	n.t.Helper()
	var all []<-chan error
	for i := range n.cmds {
		all = append(all, n.start(i))
	}
	for _, ready := range all {
		if err := <-ready; err != nil {
			n.t.Fatal(err)
		}
	}
}

// end sends a signal to a node's process and returns its exit code.
func (n *processes) end(i int, s syscall.Signal) int {
	c := n.cmds[i]
	if c == nil {
		return 0
	}
	n.cmds[i] = nil
	_ = c.Process.Signal(s)
	// One that hangs says where, and fails.
	hung := time.AfterFunc(leaving, func() { _ = c.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	_ = c.Wait()
	return c.ProcessState.ExitCode()
}

// replicas is what status says of a machine.
func (n *processes) replicas(machine string) (rows []replicaStatus) {
	n.t.Helper()
	out, _, code := n.lockstep("status", machine, "--json")
	if code != exitOK {
		return nil
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		n.t.Fatal(err)
	}
	return rows
}

// awaitVoting waits until three replicas vote and stand at the end of the log
// with one chain.
func (n *processes) awaitVoting(machine string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for {
		rows := n.replicas(machine)
		alike := len(rows) == 3
		for _, r := range rows {
			alike = alike && r.Phase == "voting" && r.Lag == 0 && r.Chain == rows[0].Chain && r.Seq == r.LogLast
		}
		if alike {
			return
		}
		select {
		case <-ctx.Done():
			n.t.Fatalf("replicas did not come to vote alike: %+v", rows)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (n *processes) client(key string) *client.Client {
	n.t.Helper()
	var urls []string
	for i := range 3 {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.port+i))
	}
	conn, err := contexts.Context{URL: strings.Join(urls, ","), Nkey: filepath.Join(n.dir, "c", key)}.Connect("test")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(conn.Close)
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	cl, err := client.Connect(ctx, client.Options{Machine: "kv", Conn: conn})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// Three processes, from init to the end: machines are deployed, called and
// upgraded by the command; a client's key cannot deploy; nodes that are asked to
// stop, the log's leader among them, cost no call; all end in one state.
func TestThreeNodes(t *testing.T) {
	n := founded(t)
	for name, wasm := range map[string][]byte{"v1.wasm": kv.V1, "v2.wasm": kv.V2} {
		if err := os.WriteFile(filepath.Join(n.dir, name), wasm, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.startAll()
	clientOnly := []string{"--nkey", filepath.Join("c", "client.nk"), "--timeout", "5s"}
	if out, errs, code := n.lockstep(append([]string{"deploy", "kv", "v1.wasm"}, clientOnly...)...); code == exitOK {
		t.Errorf("a client's key deploys: %s%s", out, errs)
	}
	if _, errs, code := n.lockstep("call", "kv", "x"); code != exitUnreachable || !strings.Contains(errs, "no node hosts this machine") {
		t.Errorf("call of no machine: exit code %d, %s", code, errs)
	}
	if out := n.must("deploy", "kv", "v1.wasm"); !strings.Contains(out, "on n1, n2, n3") {
		t.Errorf("deploy says %q", out)
	}
	if _, errs, code := n.lockstep("deploy", "kv", "v1.wasm"); code != exitFailed || !strings.Contains(errs, "lockstep upgrade") {
		t.Errorf("second deploy: exit code %d, %s", code, errs)
	}
	set := fmt.Sprintf("%x", kv.Put("a", []byte("1")))
	n.must(append([]string{"call", "kv", "-i", "hex", set}, clientOnly...)...)
	if _, errs, code := n.lockstep("call", "kv", "nonsense"); code != exitGuest || !strings.Contains(errs, "rejected") {
		t.Errorf("call that the guest rejects: exit code %d, %s", code, errs)
	}
	n.clientQuits()
	n.must("upgrade", "kv", "v2.wasm")
	n.rolling()
	n.awaitVoting("kv")
	get := fmt.Sprintf("%x", kv.Get("a"))
	if out := n.must(append([]string{"query", "kv", "-i", "hex", get, "-m", "voted", "-o", "hex"}, clientOnly...)...); !strings.Contains(out, "31") {
		t.Errorf("query says %q", out)
	}
	if out := n.must("log", "kv", "-n", "2"); strings.Count(out, "\n") != 2 {
		t.Errorf("the last two entries are\n%s", out)
	}
	n.scrape()
	n.json(clientOnly)
	var rows []topRow
	if err := json.Unmarshal([]byte(n.must("top", "--once", "--json", "--every", "100ms")), &rows); err != nil || len(rows) != 6 || rows[0].Machine != "counter" || rows[0].Phase != "voting" {
		t.Errorf("top --json: %v, %+v", err, rows)
	}
	if out := n.must("top", "counter", "--every", "100ms"); strings.Count(out, "voting") != 3 {
		t.Errorf("top says %s", out)
	}
}

// clientQuits has a client ask a voter to quit, past the command: the servers do not let it.
func (n *processes) clientQuits() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 3*time.Second)
	defer cancel()
	if _, err := n.client("client.nk").Quit(ctx, "n3"); err == nil {
		n.t.Error("a client's key makes a voter quit")
	}
	if out := n.must("status", "kv"); strings.Count(out, "voting") != 3 {
		n.t.Errorf("after a client asked n3 to quit:\n%s", out)
	}
}

// json speaks JSON with a guest, and wants its errors so too; what it answers is
// proven offline, and what it emits is seen.
func (n *processes) json(clientOnly []string) {
	n.t.Helper()
	wasm, err := filepath.Abs("../../guests/examples/counter/counter-c.wasm")
	if err != nil {
		n.t.Fatal(err)
	}
	n.must("deploy", "counter", wasm)
	say := func(args ...string) string {
		n.t.Helper()
		return strings.TrimSpace(n.must(append(args, clientOnly...)...))
	}
	if out := say("call", "counter", "-i", "json", `["add", 3]`, "--certificate", "proof"); out != "3" {
		n.t.Errorf("call says %q, want 3", out)
	}
	if out := say("query", "counter", "-i", "json", `["get"]`); out != "3" {
		n.t.Errorf("query says %q, want 3", out)
	}
	if out := say("subscribe", "counter", "--from", "1", "-n", "1", "-o", "json"); !strings.Contains(out, `["changed",3]`) {
		n.t.Errorf("subscribe says %q", out)
	}
	out, _, code := n.lockstep("call", "counter", "-i", "json", `["nonsense"]`, "--json")
	var said struct{ Error failure }
	if err := json.Unmarshal([]byte(out), &said); err != nil || code != exitGuest || said.Error.Status != "rejected" || said.Error.Code == 0 {
		n.t.Errorf("rejected call: exit code %d, %v, %s", code, err, out)
	}
	// To whoever may read the guest, it is said in what the input is not as the guest describes itself.
	for _, tc := range []struct{ verb, input, want string }{
		{"call", `["nonsense"]`, "; it takes add; see 'lockstep describe counter'"},
		{"call", `["add"]`, "; add(n int) has no n; see"},
		{"query", `["get", 3]`, "; get() has 0 arguments, not 1; see"},
	} {
		if _, errs, code := n.lockstep(tc.verb, "counter", "-i", "json", tc.input); code != exitGuest || !strings.Contains(errs, tc.want) {
			n.t.Errorf("%s of %s: exit code %d, %s, want %s", tc.verb, tc.input, code, errs, tc.want)
		}
	}
	n.must("status", "counter", "--members", "voters")
	offline := []string{"--members", "voters", "--server", "nats://127.0.0.1:1"}
	if out := n.must(append([]string{"verify", "proof"}, offline...)...); !strings.Contains(out, "valid: ") {
		n.t.Errorf("verify says %q", out)
	}
	proof, err := os.ReadFile(filepath.Join(n.dir, "proof"))
	if err != nil {
		n.t.Fatal(err)
	}
	proof[len(proof)/2] ^= 1
	if err := os.WriteFile(filepath.Join(n.dir, "forged"), proof, 0o600); err != nil {
		n.t.Fatal(err)
	}
	if _, _, code := n.lockstep(append([]string{"verify", "forged"}, offline...)...); code != exitFailed {
		n.t.Errorf("a forged certificate: exit code %d", code)
	}
}

// scrape wants every stage of a node to have counted.
func (n *processes) scrape() {
	n.t.Helper()
	text := n.get(0, "/metrics")
	for _, name := range []string{
		`queries_total{machine="kv",status="ok"}`, `inputs_total{machine="kv",status="rejected"}`,
	} {
		if m := regexp.MustCompile(`(?m)^lockstep_` + regexp.QuoteMeta(name) + ` ([0-9.e+]+)$`).FindStringSubmatch(text); m == nil || m[1] == "0" {
			n.t.Errorf("lockstep_%s counted nothing: %v", name, m)
		}
	}
	for _, name := range []string{
		`entries_read_total`, `entries_applied_total`, `entry_bytes_total`, `gas_total`, `votes_total`, `apply_seconds_count`,
		`entry_inputs_count`, `journal_sync_seconds_count`, `journal_bytes_total`, `journal_entries_total`,
		`query_seconds_count`,
	} {
		m := regexp.MustCompile(`(?m)^lockstep_` + name + `{machine="kv"} ([0-9.e+]+)$`).FindStringSubmatch(text)
		if m == nil || m[1] == "0" {
			n.t.Errorf("lockstep_%s counted nothing: %v", name, m)
		}
	}
	for _, line := range []string{`lockstep_phase{machine="kv",phase="voting"} 1`, `lockstep_lag_entries{machine="kv"} `, `lockstep_transfer_fetchers{machine="kv"} 0`, `lockstep_events_total{kind="diverged",machine="kv"} 0`} {
		if !strings.Contains(text, "\n"+line) {
			n.t.Errorf("metrics lack %s", line)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := n.get(0, path); got != "ok\n" {
			n.t.Errorf("%s says %q", path, got)
		}
	}
}

func (n *processes) get(i int, path string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", n.port+4000+i, path), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}

// rolling restarts every node under load; no call may fail.
func (n *processes) rolling() {
	n.t.Helper()
	cl := n.client("client.nk")
	ctx, stop := context.WithCancel(n.t.Context())
	var calls atomic.Int64
	var slowest atomic.Int64
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				within, cancel := context.WithTimeout(context.Background(), patience)
				began := time.Now()
				_, err := cl.Call(within, kv.Add(fmt.Sprint("n", i), 1))
				cancel()
				if err != nil {
					n.t.Errorf("call: %v", err)
					return
				}
				calls.Add(1)
				slowest.Store(max(slowest.Load(), int64(time.Since(began))))
			}
		})
	}
	for i := range n.cmds {
		if code := n.end(i, syscall.SIGTERM); code != exitOK {
			n.t.Errorf("node %d ends with code %d", i+1, code)
		}
		if err := <-n.start(i); err != nil {
			n.t.Fatal(err)
		}
		n.awaitVotingOf(i)
	}
	stop()
	load.Wait()
	n.t.Logf("%d calls, the slowest took %v", calls.Load(), time.Duration(slowest.Load()))
	if calls.Load() == 0 {
		n.t.Error("no call was made")
	}
}

// awaitVotingOf waits until a node that came back votes again.
func (n *processes) awaitVotingOf(i int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for {
		for _, r := range n.replicas("kv") {
			if string(r.Node) == fmt.Sprintf("n%d", i+1) && r.Phase == "voting" {
				return
			}
		}
		select {
		case <-ctx.Done():
			n.t.Fatalf("node %d does not vote again", i+1)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// A second signal ends a node that is still waiting for others; the first is
// enough too, and clean.
func TestNodeAlone(t *testing.T) {
	n := founded(t)
	n.start(0) // waits for the others, for ever
	deadline := time.Now().Add(patience)
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.port+4000))
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("HTTP does not answer while the node waits")
		}
	}
	if code := n.end(0, syscall.SIGINT); code != exitOK {
		t.Errorf("exit code %d, want a clean end", code)
	}
}
