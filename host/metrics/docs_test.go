package metrics

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

const page = "../../docs/metrics.md"

var desc = regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)", .*variableLabels: \{([^}]*)\}`)

// table is the names as documentation has them, from the code.
func table(t *testing.T) string {
	t.Helper()
	n := New()
	var rows []string
	add := func(kind string, d *prometheus.Desc) {
		m := desc.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", m[1], kind, strings.ReplaceAll(m[3], ",", ", "), m[2]))
	}
	for _, c := range n.m.all() {
		kind := "counter"
		if _, ok := c.(*prometheus.HistogramVec); ok {
			kind = "histogram"
		}
		for _, d := range described(c) {
			add(kind, d)
		}
	}
	for _, d := range gauges() {
		add("gauge", d)
	}
	slices.Sort(rows)
	return "| name | kind | labels | what |\n|---|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
}

func described(c prometheus.Collector) (list []*prometheus.Desc) {
	ch := make(chan *prometheus.Desc, 8)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		list = append(list, d)
	}
	return list
}

// The documentation names what there is, and nothing else. UPDATE=1 writes it.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- names -->\n", "<!-- end of names -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the names", page)
	}
	want := "\n" + table(t) + "\n"
	if have == want {
		return
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s does not have the names that the code has: run this test with UPDATE=1", page)
}

// Nothing is counted for nobody.
func TestNil(t *testing.T) {
	var n *Node
	m := n.Machine("kv")
	m.Read(1)
	m.Applied(1, 1, Tally{})
	m.Voted()
	m.Audited()
	m.Event("x")
	m.Transferred(1, 1, 1)
	m.Given(1)
	m.Saved(1)
	m.Synced(1, 1, 1)
}
