package nodeproc

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"lockstep/audit"
	"lockstep/host/local/link"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// Options of a cluster.
type Options struct {
	Nodes    int             // that found it; 0 is 3
	Machines []ordering.Name // that each node hosts
	// Most is the number of nodes that there may come to be; 0 is Nodes.
	Most    int
	Verbose bool
	Program string // of the nodes, such as one of BuildClocked; empty is this test binary
}

// Cluster is nodes in processes, numbered from 0.
type Cluster struct {
	opts  Options
	dir   string
	key   string // public, of SystemKey
	nodes []*nodeProcess
}

type nodeProcess struct {
	spec   spec
	out    []*link.Link // to the server of each node, by number
	paused bool
	ready  bool
	cmd    *exec.Cmd // nil while it does not run
	stdin  io.Closer
	say    io.Writer
	hear   *bufio.Reader
}

// readyWithin bounds the start of a process; one start in six loses the first election.
const readyWithin = 2 * time.Minute

// Start starts the nodes that found a cluster, and waits until they are ready. They end with the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	o.Most = max(o.Most, o.Nodes)
	c := &Cluster{opts: o, dir: t.TempDir()}
	c.makeKey(t)
	t.Cleanup(func() {
		for i := range c.nodes {
			c.Kill(i)
		}
		for _, n := range c.nodes {
			for _, l := range n.out {
				l.Close()
			}
		}
	})
	for i := range o.Nodes {
		c.describe(t, o.Nodes, filepath.Join(c.dir, Name(i)))
		c.nodes[i].spec.Machines = o.Machines
	}
	c.nodes[0].spec.Found = (o.Nodes-1)/2*2 + 1 // the odd number not above
	for i := range c.nodes {
		c.launch(t, i)
	}
	for i := range c.nodes {
		c.await(t, i)
		c.nodes[i].spec.Found = 0
	}
	return c
}

// makeKey makes the key of the servers' system account.
func (c *Cluster) makeKey(t testing.TB) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err == nil {
		c.key, err = pair.PublicKey()
	}
	if err == nil {
		err = os.WriteFile(c.SystemKey(), seed, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// SystemKey is a file with the seed of a key in the servers' system account: System as commands take it.
func (c *Cluster) SystemKey() string { return filepath.Join(c.dir, "system.nk") }

// Name is that of node i, and of its replicas and server.
func Name(i int) string { return fmt.Sprintf("p%d", i+1) }

// describe adds one more node, which has a link to each of the first peers others and itself.
func (c *Cluster) describe(t testing.TB, peers int, dir string) {
	t.Helper()
	i := len(c.nodes)
	ports := FreePorts(t, 2)
	n := &nodeProcess{spec: spec{
		Name: Name(i), Dir: dir, Listen: fmt.Sprintf("127.0.0.1:%d", ports[0]), Client: ports[1], Verbose: c.opts.Verbose, Key: c.key,
	}}
	c.nodes = append(c.nodes, n)
	if c.opts.Most == 1 {
		return
	}
	for j := range max(peers, 1) {
		l, err := link.New()
		if err != nil {
			t.Fatal(err)
		}
		n.out = append(n.out, l)
		n.spec.Routes = append(n.spec.Routes, l.Addr())
		if j < len(c.nodes) {
			l.Set(c.nodes[j].spec.Listen, false)
		}
	}
	for _, other := range c.nodes {
		if i < len(other.out) {
			other.out[i].Set(n.spec.Listen, false)
		}
	}
}

// Add starts one more node, which joins the servers' cluster and hosts the machines, and returns its number. With the
// disk of another, which must not run, it takes over all but the server's files.
func (c *Cluster) Add(t testing.TB, disk int) int {
	t.Helper()
	i := len(c.nodes)
	dir := filepath.Join(c.dir, Name(i))
	if disk >= 0 {
		dir = c.nodes[disk].spec.Dir
		if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
	}
	c.describe(t, i, dir)
	c.nodes[i].spec.Machines = c.opts.Machines
	c.Start(t, i)
	return i
}

// Start starts node i, which does not run, and waits until it is ready.
func (c *Cluster) Start(t testing.TB, i int) {
	t.Helper()
	c.launch(t, i)
	c.await(t, i)
}

func (c *Cluster) launch(t testing.TB, i int) {
	t.Helper()
	n := c.nodes[i]
	text, err := json.Marshal(n.spec)
	if err != nil {
		t.Fatal(err)
	}
	program := c.opts.Program
	if program == "" {
		program = os.Args[0]
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), envSpec+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.cmd, n.stdin, n.say, n.hear = cmd, in, in, bufio.NewReader(out)
}

func (c *Cluster) await(t testing.TB, i int) {
	t.Helper()
	if c.nodes[i].ready {
		return
	}
	line := make(chan string, 1)
	go func() {
		text, err := c.nodes[i].hear.ReadString('\n')
		if err != nil {
			text += err.Error()
		}
		line <- strings.TrimSpace(text)
	}()
	select {
	case text := <-line:
		if text != "ready" {
			t.Fatalf("%s says %q", Name(i), text)
		}
		c.nodes[i].ready = true
	case <-time.After(readyWithin):
		t.Fatalf("%s is not ready after %v", Name(i), readyWithin)
	}
}

// Runs tells whether node i does, if only stopped in its tracks.
func (c *Cluster) Runs(i int) bool { return c.nodes[i].cmd != nil }

// Kill ends node i, if it runs, as nothing can resist.
func (c *Cluster) Kill(i int) {
	n := c.nodes[i]
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	_ = n.cmd.Wait()
	_ = n.stdin.Close()
	n.cmd, n.paused, n.ready = nil, false, false
}

// Pause stops node i in its tracks.
func (c *Cluster) Pause(i int) { c.signal(i, syscall.SIGSTOP, true) }

// Resume lets node i go on.
func (c *Cluster) Resume(i int) { c.signal(i, syscall.SIGCONT, false) }

func (c *Cluster) signal(i int, sig syscall.Signal, paused bool) {
	if n := c.nodes[i]; n.cmd != nil {
		_ = n.cmd.Process.Signal(sig) // fails only if it has ended by itself, which the test then sees
		n.paused = paused
	}
}

// Cut cuts node i off from all others, or ends that.
func (c *Cluster) Cut(i int, cut bool) {
	for j, other := range c.nodes {
		if j == i {
			continue
		}
		if i < len(other.out) {
			other.out[i].Set(c.nodes[i].spec.Listen, cut)
		}
		if j < len(c.nodes[i].out) {
			c.nodes[i].out[j].Set(other.spec.Listen, cut)
		}
	}
}

// Mend lets all nodes run but those that are gone, and reach each other, and waits until they are ready.
func (c *Cluster) Mend(t testing.TB, gone ...int) {
	t.Helper()
	for i, n := range c.nodes {
		for j, l := range n.out {
			l.Set(c.nodes[j].spec.Listen, false)
		}
		if n.paused {
			c.Resume(i)
		}
		if n.cmd == nil && !contains(gone, i) {
			c.launch(t, i)
		}
	}
	for i, n := range c.nodes {
		if n.cmd != nil {
			c.await(t, i)
		}
	}
}

// Relaunch starts node i, if it does not run, and does not wait for it: see Mend.
func (c *Cluster) Relaunch(t testing.TB, i int) {
	t.Helper()
	if c.nodes[i].cmd == nil {
		c.launch(t, i)
	}
}

// Answers tells whether node i takes commands.
func (c *Cluster) Answers(i int) bool { n := c.nodes[i]; return n.cmd != nil && !n.paused && n.ready }

func contains(list []int, v int) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// Flip flips a bit in the working memory of one replica's guest, in the byte that is so far from a text in it.
func (c *Cluster) Flip(t testing.TB, i int, machine ordering.Name, mark string, offset, bit int) {
	t.Helper()
	if line := c.ask(t, i, fmt.Sprintf("flip %s %s %d %d", machine, mark, offset, bit)); line != "ok" {
		t.Fatalf("%s: flip: %q", Name(i), line)
	}
}

// Moved is what transfers brought to node i since it was started, and the size of the last state that one
// did, in bytes.
func (c *Cluster) Moved(t testing.TB, i int) (bytes, size uint64) {
	t.Helper()
	line := c.ask(t, i, "moved")
	if _, err := fmt.Sscan(line, &bytes, &size); err != nil {
		t.Fatalf("%s: %q: %v", Name(i), line, err)
	}
	return bytes, size
}

// ask has a node's process carry out a command.
func (c *Cluster) ask(t testing.TB, i int, command string) string {
	t.Helper()
	n := c.nodes[i]
	if _, err := fmt.Fprintln(n.say, command); err != nil {
		t.Fatalf("%s: %s: %v", Name(i), command, err)
	}
	line, err := n.hear.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %s: %v", Name(i), command, err)
	}
	return strings.TrimSpace(line)
}

// Dir is where node i keeps all that it has: its server's files in log, its own in node.
func (c *Cluster) Dir(i int) string { return c.nodes[i].spec.Dir }

// Await waits until node i, which was relaunched, is ready.
func (c *Cluster) Await(t testing.TB, i int) { t.Helper(); c.await(t, i) }

// Len is the number of nodes, whether or not they run.
func (c *Cluster) Len() int { return len(c.nodes) }

// URL is where node i takes clients.
func (c *Cluster) URL(i int) string {
	return fmt.Sprintf("nats://127.0.0.1:%d", c.nodes[i].spec.Client)
}

// URLs are where all nodes do.
func (c *Cluster) URLs() (urls []string) {
	for i := range c.nodes {
		urls = append(urls, c.URL(i))
	}
	return urls
}

// Connect connects to any node, and moves between them.
func (c *Cluster) Connect(t testing.TB, login jetstream.Login) *nats.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	conn, err := jetstream.Dial(ctx, t.Name(), c.URLs(), login, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// Leader is the node whose server leads a machine's log, or -1.
func (c *Cluster) Leader(ctx context.Context, conn *nats.Conn, machine ordering.Name) int {
	js, err := njs.New(conn)
	if err != nil {
		return -1
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := js.Stream(ctx, jetstream.Ref{Machine: machine, Epoch: 1}.StreamName())
	if err != nil || s.CachedInfo().Cluster == nil {
		return -1
	}
	for i := range c.nodes {
		if Name(i) == s.CachedInfo().Cluster.Leader {
			return i
		}
	}
	return -1
}

// Replica is that of node i.
func Replica(i int) audit.ReplicaID { return audit.ReplicaID(Name(i)) }
