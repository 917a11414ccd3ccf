package newcomer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"lockstep/host"
	"lockstep/tests/pages"
)

// patience bounds what is waited for, on a machine that is busy with other tests.
const patience = 2 * time.Minute

// replica is a row of what lockstep status says.
type replica struct {
	Node   string `json:"node"`
	Phase  string `json:"phase"`
	Voter  bool   `json:"voter"`
	Seq    uint64 `json:"seq"`
	Lag    uint64 `json:"lag"`
	Chain  string `json:"chain"`
	Stored uint64 `json:"checkpoint_seq"`
	Root   string `json:"checkpoint_root"`
	Module string `json:"module"`
}

// audited wants three replicas of a machine that vote, have read the same, run the module that was
// built last, and stated their states without one that differed.
func audited(t *testing.T, r *pages.Reader, machine, module string) {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(r.Dir, filepath.FromSlash(module)))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	var rows []replica
	for {
		said, err := r.Run("bin/lockstep status " + machine + " --json")
		rows = nil
		if err == nil {
			err = json.Unmarshal([]byte(said), &rows)
		}
		if err == nil && alike(rows) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replicas are not alike after %v: %+v, %v", patience, rows, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if want := host.ModuleDigest(wasm).Hex(); rows[0].Module != want {
		t.Errorf("the replicas run module %s, want %s, which was built last", rows[0].Module, want)
	}
	for i := range rows {
		text := metrics(t, r.Port+4000+i)
		if n := count(text, `lockstep_audits_total{machine="`+machine+`"}`); n == "" || n == "0" {
			t.Errorf("node %d has stated its state %q times", i+1, n)
		}
		if n := count(text, `lockstep_events_total{kind="diverged",machine="`+machine+`"}`); n != "0" {
			t.Errorf("node %d diverged %q times", i+1, n)
		}
	}
}

// alike reports whether three voters are at one place of the log with one chain, and one root where they
// have the same checkpoint.
func alike(rows []replica) bool {
	for _, a := range rows {
		b := rows[0]
		if a.Phase != "voting" || !a.Voter || a.Lag != 0 || a.Seq != b.Seq || a.Chain != b.Chain || a.Module != b.Module || a.Stored == b.Stored && a.Root != b.Root {
			return false
		}
	}
	return len(rows) == 3
}

func count(metrics, name string) string {
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(metrics)
	if m == nil {
		return ""
	}
	return m[1]
}

func metrics(t *testing.T, port int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
