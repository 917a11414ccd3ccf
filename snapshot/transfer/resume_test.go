package transfer_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/ordering"
	"lockstep/ordering/jetstream/jetstreamtest"
	"lockstep/snapshot"
	"lockstep/snapshot/store"
	"lockstep/snapshot/transfer"
)

// fetcherEnv makes this binary a process that fetches: it holds the server's URL
// and the path of the stash.
const fetcherEnv = "LOCKSTEP_TEST_FETCHER"

// donorEnv makes it a donor: it holds the server's URL and the folder of the store.
const donorEnv = "LOCKSTEP_TEST_DONOR"

func TestMain(m *testing.M) {
	if args := os.Getenv(fetcherEnv); args != "" {
		url, stash, _ := strings.Cut(args, " ")
		if err := fetchAlone(url, stash); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if args := os.Getenv(donorEnv); args != "" {
		url, dir, _ := strings.Cut(args, " ")
		fmt.Println(serveStored(url, dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fetchAlone fetches the state 3 into an empty memory and prints how many pages
// it has.
func fetchAlone(url, path string) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	want, got := newState(3), emptyState()
	stash, _, err := transfer.OpenStash(path, uint64(len(got.memory)), got.patch)
	if err != nil {
		return err
	}
	n := 0
	_, err = transfer.Fetch{
		Conn: conn, Donors: []transfer.Donor{{Name: "a", Subject: "donor.a"}}, Want: want.manifest(), Local: got.tree, Stash: stash,
		Patch: func(list []snapshot.Page) error {
			n += len(list)
			fmt.Println("pages", n)
			return got.patch(list)
		},
	}.Run(context.Background())
	return err
}

func emptyState() *state {
	s := &state{memory: make([]byte, pages*snapshot.PageSize), tree: snapshot.NewTree()}
	s.tree.Resize(len(s.memory))
	return s
}

// A fetcher that is killed with SIGKILL, and started again, asks only for what it
// did not have.
func TestKilledFetcherGoesOn(t *testing.T) {
	cluster := jetstreamtest.Start(t, 1)
	conn := cluster.ConnectAny(t)
	want := newState(3)
	want.tree.Root() // brings its nodes up to date
	// Slow, so that the kill comes in the middle.
	if _, err := transfer.Serve(t.Context(), conn, "donor.a", want, transfer.NewLimit(1<<20), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stash")
	had := killAt(t, conn.ConnectedUrl(), path, pages/4)

	got := emptyState()
	stash, kept, err := transfer.OpenStash(path, uint64(len(got.memory)), got.patch)
	if err != nil {
		t.Fatal(err)
	}
	// Zero pages are not sent and not stashed.
	if kept < had-8 || kept < pages/4-8 || kept >= pages-8 {
		t.Fatalf("%d pages kept, the process had %d of %d when it was killed", kept, had, pages)
	}
	fast := transfer.Donor{Name: "b", Subject: "donor.b"}
	if _, err := transfer.Serve(t.Context(), conn, fast.Subject, want, nil, nil); err != nil {
		t.Fatal(err)
	}
	stats, err := transfer.Fetch{Conn: conn, Donors: []transfer.Donor{fast}, Want: want.manifest(), Local: got.tree, Patch: got.patch, Stash: stash}.Run(t.Context())
	if err != nil || got.tree.Root() != want.tree.Root() {
		t.Fatalf("second start: %+v, %v, root %v", stats, err, got.tree.Root())
	}
	if zeros := stats.Pages - (pages - kept); zeros < -4 || zeros > 0 {
		t.Errorf("second start fetched %d pages, it had %d of %d, and 4 are zeros", stats.Pages, kept, pages)
	}
	wantOnlyMissing(t, stats, stats.Pages)
	if err := stash.Close(); err != nil {
		t.Error(err)
	}
}

// killAt starts a fetching process and kills it when it has so many pages. It
// returns how many it had told of.
func killAt(t *testing.T, url, path string, enough int) (had int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fetcherEnv+"="+url+" "+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "pages "))
		if err != nil {
			t.Fatalf("process says %q", lines.Text())
		}
		if had = n; had >= enough {
			break
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the process ended before it was killed")
	}
	return had
}

// A donor that is stopped and started again is asked again by the next try, for
// what is missing alone.
func TestDonorRestarts(t *testing.T) {
	b := newBench(t)
	want, got := newState(4), emptyState()
	d := transfer.Donor{Name: "a", Subject: "donor.a"}
	sub, err := transfer.Serve(t.Context(), b.conn, d.Subject, want, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	fetch := transfer.Fetch{Conn: b.conn, Donors: []transfer.Donor{d}, Want: want.manifest(), Local: got.tree, Patch: func(list []snapshot.Page) error {
		if first += len(list); first > pages/4 && sub != nil {
			err := sub.Unsubscribe()
			sub = nil
			if err != nil {
				return err
			}
		}
		return got.patch(list)
	}}
	stats, err := fetch.Run(t.Context())
	if err == nil || fmt.Sprint(stats.Dropped) != "[a]" {
		t.Fatalf("donor that went away: %+v, %v", stats, err)
	}
	if _, err := transfer.Serve(t.Context(), b.conn, d.Subject, want, nil, nil); err != nil {
		t.Fatal(err)
	}
	rest, err := fetch.Run(t.Context())
	if err != nil {
		t.Errorf("after its restart: %+v, %v; %d of %d pages were there", rest, err, stats.Pages, pages)
	}
	wantOnlyMissing(t, rest, pages-stats.Pages)
}

// A donor goes on making checkpoints and expires old ones; the one that is being
// fetched stays until it has been, and then goes.
func TestDonorsMoveOn(t *testing.T) {
	b := newBench(t)
	disk, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = disk.Close() }()
	now := newState(5)
	save := func(seq ordering.Seq) snapshot.Manifest {
		man := now.manifest()
		man.Seq = seq
		c := &snapshot.Checkpoint{Manifest: man, Tree: now.tree.View(), Memory: snapshot.Copied(now.memory)}
		if err := disk.Save(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := disk.Expire("m", store.Retention{Newest: 1, Agreed: math.MaxUint64}); err != nil {
			t.Fatal(err)
		}
		return man
	}
	old := save(9)
	root := now.tree.Root()
	if _, err := transfer.Serve(t.Context(), b.conn, "donor.a", shelf{disk, old}, nil, nil); err != nil {
		t.Fatal(err)
	}
	got := emptyState()
	seq := ordering.Seq(10)
	stats, err := transfer.Fetch{
		Conn: b.conn, Donors: []transfer.Donor{{Name: "a", Subject: "donor.a"}}, Want: old, Local: got.tree,
		Patch: func(list []snapshot.Page) error {
			for i := range now.memory { // every page changes
				now.memory[i] += byte(seq)
			}
			now.update(all())
			save(seq)
			seq++
			return got.patch(list)
		},
	}.Run(t.Context())
	if err != nil || got.tree.Root() != root || seq < 14 {
		t.Fatalf("%+v, %v after %d checkpoints", stats, err, seq-10)
	}
	// Let go, it expires with the next.
	deadline := time.Now().Add(time.Minute)
	for {
		list, err := disk.List("m")
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d checkpoints are kept after the transfer, want 1", len(list))
		}
		if err := disk.Expire("m", store.Retention{Newest: 1, Agreed: math.MaxUint64}); err != nil {
			t.Fatal(err)
		}
	}
}

// A donor with a limit sends no more in a second.
func TestLimit(t *testing.T) {
	b := newBench(t)
	want, got := newState(6), emptyState()
	const rate = 2 << 20
	d := transfer.Donor{Name: "a", Subject: "donor.a"}
	var given atomic.Int64
	if _, err := transfer.Serve(t.Context(), b.conn, d.Subject, want, transfer.NewLimit(rate), func(n int) { given.Add(int64(n)) }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stats, err := transfer.Fetch{Conn: b.conn, Donors: []transfer.Donor{d}, Want: want.manifest(), Local: got.tree, Patch: got.patch}.Run(t.Context())
	if err != nil || len(stats.Dropped) != 0 {
		t.Fatalf("%+v, %v", stats, err)
	}
	if n := given.Load(); n < int64(stats.Bytes) || n > int64(stats.Bytes)+1000 { // the reply to what ends it
		t.Errorf("the donor counts %d bytes, its fetcher %d", n, stats.Bytes)
	}
	// The first burst is an eighth of a second's worth.
	if took, least := time.Since(began), time.Duration(float64(stats.Bytes)/rate*float64(time.Second))-200*time.Millisecond; took < least {
		t.Errorf("%d bytes in %v, at %d a second they take %v", stats.Bytes, took, rate, least)
	}
}

// A donor with a limit gives to as many machines at once as a node may have, each a little at a time: one reply of the usual size
// to each would take 8 s, after which nobody waits for the last ones any more.
func TestLimitIsShared(t *testing.T) {
	b := newBench(t)
	const machines, rate, differ = 64, 2 << 20, 64
	want := newState(6)
	have, limit := want.copy(differ), transfer.NewLimit(rate)
	var fetches sync.WaitGroup
	for i := range machines {
		d := transfer.Donor{Name: "a", Subject: fmt.Sprintf("donor.%d", i)}
		if _, err := transfer.Serve(t.Context(), b.conn, d.Subject, want, limit, nil); err != nil {
			t.Fatal(err)
		}
		local := snapshot.NewTree()
		local.Resize(len(have.memory))
		local.Update(have.memory, all())
		fetches.Go(func() {
			patch := func([]snapshot.Page) error { return nil }
			stats, err := transfer.Fetch{Conn: b.conn, Donors: []transfer.Donor{d}, Want: want.manifest(), Local: local, Patch: patch}.Run(t.Context())
			if err != nil || stats.Pages != differ {
				t.Errorf("machine %d: %+v, %v", i, stats, err)
			}
		})
	}
	fetches.Wait()
}

// serveStored is a donor's process: it gives the checkpoint of a store, slowly, until
// it is killed.
func serveStored(url, dir string) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	disk, err := store.Open(dir)
	if err != nil {
		return err
	}
	list, err := disk.List("m")
	if err != nil || len(list) != 1 {
		return fmt.Errorf("store has %d checkpoints, %w", len(list), err)
	}
	if _, err := transfer.Serve(context.Background(), conn, "donor.a", shelf{disk, list[0]}, transfer.NewLimit(2<<20), nil); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	fmt.Println("serving")
	select {}
}

// startDonor starts a donor's process and waits until it serves.
func startDonor(t *testing.T, url, dir string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), donorEnv+"="+url+" "+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "serving\n" {
		t.Fatalf("process says %q, %v", line, err)
	}
	return child
}

// A donor that is killed with SIGKILL in the middle, and started again on its disk, is
// asked for what it had not given, and for no more.
func TestKilledDonorGoesOn(t *testing.T) {
	cluster := jetstreamtest.Start(t, 1)
	conn := cluster.ConnectAny(t)
	dir := filepath.Join(t.TempDir(), "state")
	disk, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, got := newState(7), emptyState()
	man := want.manifest()
	if err := disk.Save(t.Context(), &snapshot.Checkpoint{Manifest: man, Tree: want.tree.View(), Memory: snapshot.Copied(want.memory)}); err != nil {
		t.Fatal(err)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	child := startDonor(t, conn.ConnectedUrl(), dir)
	had := 0
	fetch := transfer.Fetch{
		Conn: conn, Donors: []transfer.Donor{{Name: "a", Subject: "donor.a"}}, Want: man, Local: got.tree,
		Patch: func(list []snapshot.Page) error {
			if had += len(list); had > pages/4 && child != nil {
				_ = child.Process.Kill()
				_ = child.Wait()
				child = nil
			}
			return got.patch(list)
		},
	}
	first, err := fetch.Run(t.Context())
	if err == nil || fmt.Sprint(first.Dropped) != "[a]" || first.Pages < pages/4 || first.Pages >= pages {
		t.Fatalf("donor that was killed: %+v, %v", first, err)
	}
	startDonor(t, conn.ConnectedUrl(), dir)
	rest, err := fetch.Run(t.Context())
	if err != nil || got.tree.Root() != want.root {
		t.Fatalf("after its restart: %+v, %v", rest, err)
	}
	wantOnlyMissing(t, rest, pages-first.Pages)
}

// wantOnlyMissing wants a transfer to have fetched so many pages, of random bytes, and little else.
func wantOnlyMissing(t *testing.T, stats transfer.Stats, missing int) {
	t.Helper()
	if stats.Pages != missing {
		t.Errorf("%d pages were fetched, want the %d that were missing", stats.Pages, missing)
	}
	// A page that does not compress is a few bytes longer; the tree over all pages is small.
	const tree = (pages/snapshot.Fanout + 4) * (snapshot.NodeSize + snapshot.SketchSize)
	if most := uint64(missing*(snapshot.PageSize+64) + tree + 8<<10); stats.Bytes > most {
		t.Errorf("%d bytes were received for %d pages, want at most %d", stats.Bytes, missing, most)
	}
}
