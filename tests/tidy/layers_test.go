package tidy

import (
	"fmt"
	"strings"
	"testing"
)

// layer says which of our packages those in one folder and below may import,
// beside each other. The longest folder that fits a package is its layer.
type layer struct {
	folder string
	may    []string // folders; with /... also what is below; "*" is any
	why    string
}

// layers is DESIGN.md section 3 as a table: imports point one way.
var layers = []layer{
	{"wasmabi", nil, "the guest contract is a leaf"},
	{"wasmabi/instrument", []string{"wasmabi"}, "the instrumenter knows the contract and nothing of hosts, so that its output is the same everywhere"},

	{"ordering", nil, "the order of inputs is a leaf"},
	{"ordering/jetstream", []string{"ordering"}, "an adapter imports its parent and one library"},
	{"ordering/journal", []string{"ordering"}, "an adapter imports its parent and one library"},
	{"ordering/memlog", []string{"ordering"}, "an adapter imports its parent and one library"},
	{"ordering/orderingtest", []string{"ordering"}, "the suite knows the seam and no implementation"},

	{"audit", []string{"audit/canonical", "ordering"}, "statements are about positions in the log, not about machines"},
	{"audit/canonical", nil, "the encoding is a leaf"},

	{"snapshot", []string{"audit/...", "ordering"}, "a state is data: it knows no machine and no network"},
	{"snapshot/paging", []string{"snapshot"}, "an adapter imports its parent and one library"},
	{"snapshot/archive", []string{"audit/...", "ordering", "snapshot"}, "an adapter imports its parent and one library"},
	{"snapshot/store", []string{"audit/...", "ordering", "snapshot"}, "an adapter imports its parent and one library"},
	{"snapshot/transfer", []string{"audit/...", "ordering", "snapshot"}, "an adapter imports its parent and one library"},

	{"host", []string{"audit/...", "host/epochs", "ordering", "snapshot", "wasmabi"}, "the machine knows seams: a Guest and not an engine, entries and not a log"},
	{"host/epochs", []string{"audit/...", "ordering"}, "what can have been accepted follows from statements, not from machines"},
	{"host/protocol", []string{"audit/...", "host", "ordering", "wasmabi"}, "messages are data: who sends and who receives them is not their affair"},
	{"host/engine", []string{"audit/...", "host", "ordering", "snapshot", "snapshot/paging", "wasmabi/..."}, "the engine runs guests; logs, networks and nodes are not its affair"},
	{"host/guesttest", []string{"host", "ordering", "snapshot", "wasmabi"}, "the suite knows the seam and no implementation"},
	{"host/hosttest", []string{"audit/...", "host", "host/engine", "ordering", "snapshot", "wasmabi/..."}, "a guest is tested on the engine and the machine alone, without logs and networks"},
	{"host/metrics", []string{"wasmabi"}, "counting knows numbers, not what is counted"},
	{"host/node", []string{"audit/...", "host", "host/engine", "host/epochs", "host/metrics", "host/protocol", "ordering", "ordering/jetstream", "ordering/journal/...", "snapshot/...", "wasmabi/..."}, "the node carries out what the machine says; clients and commands are above it"},
	{"host/admin", []string{"audit/...", "host", "host/epochs", "ordering"}, "words are words: who says them is another package's affair"},
	{"host/local", []string{"audit/...", "host", "host/engine", "host/node", "ordering/...", "snapshot/...", "wasmabi/..."}, "a cluster in one process is nodes and servers; clients and commands are above it"},
	{"host/daemon", []string{"audit", "host", "host/admin", "host/engine", "host/epochs", "host/metrics", "host/node", "ordering/...", "snapshot/paging", "wasmabi/..."}, "a process is a node and a server; clients and commands are above it"},

	{"client", []string{"audit/...", "host", "host/admin", "host/epochs", "host/protocol", "ordering", "ordering/jetstream", "snapshot", "snapshot/transfer", "wasmabi"}, "a client counts votes; it runs no machine and no node"},
	{"guests", nil, "a guest and its SDK know the contract as any other language does, by the words of wasmabi and not by import"},
	{"cmd", []string{"*"}, ""},
	{"tests", []string{"*"}, ""},
}

// notImported are layers that nothing below may build on.
var notImported = map[string]string{
	"cmd":   "commands are not a library",
	"tests": "tests are not a library",
}

func layerOf(folder string) (found layer, ok bool) {
	for _, l := range layers {
		if within(folder, l.folder) && len(l.folder) > len(found.folder) {
			found, ok = l, true
		}
	}
	return found, ok
}

// within reports whether a path is the parent or below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func (l layer) allows(folder string) bool {
	other, _ := layerOf(folder)
	if other.folder == l.folder {
		return true
	}
	for _, m := range l.may {
		below, subtree := strings.CutSuffix(m, "/...")
		if m == "*" || m == folder || subtree && within(folder, below) {
			return true
		}
	}
	return false
}

func wrongDirection(list []pkg) (complaints []string) {
	for _, p := range list {
		l, ok := layerOf(p.folder())
		if !ok {
			complaints = append(complaints, fmt.Sprintf("%s is in no layer: a new folder is a decision, add it to DESIGN.md section 3 and to the table", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			folder, is := strings.CutPrefix(imported, module+"/")
			if !is {
				continue
			}
			top, _, _ := strings.Cut(folder, "/")
			switch why := notImported[top]; {
			case why != "" && !within(p.folder(), top):
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
			case !l.allows(folder):
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, l.why))
			}
		}
	}
	return complaints
}

func TestImportsPointOneWay(t *testing.T) {
	silent(t, wrongDirection(ours(t)))
	complains(t, wrongDirection([]pkg{
		{ImportPath: "lockstep/host", Imports: []string{"lockstep/ordering", "lockstep/host/engine"}},
		{ImportPath: "lockstep/ordering/jetstream/embedded", Imports: []string{"lockstep/ordering/jetstream", "lockstep/ordering/memlog"}},
		{ImportPath: "lockstep/audit", Imports: []string{"lockstep/audit/canonical", "lockstep/snapshot"}},
		{ImportPath: "lockstep/snapshot/store/disk", Imports: []string{"lockstep/audit/canonical", "lockstep/snapshot/transfer"}},
		{ImportPath: "lockstep/cmd/lockstep", Imports: []string{"lockstep/cmd/lockstep/demo", "lockstep/host/node", "lockstep/tests/sim"}},
		{ImportPath: "lockstep/client", Imports: []string{"lockstep/host/local"}},
		{ImportPath: "lockstep/helpers", Imports: []string{"fmt"}},
	}),
		"lockstep/host imports lockstep/host/engine: the machine knows seams",
		"embedded imports lockstep/ordering/memlog: an adapter",
		"lockstep/audit imports lockstep/snapshot: statements",
		"disk imports lockstep/snapshot/transfer: an adapter",
		"cmd/lockstep imports lockstep/tests/sim: tests are not a library",
		"lockstep/client imports lockstep/host/local: a client",
		"lockstep/helpers is in no layer",
	)
}
