package tidy

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// library is somebody else's code and the folders that may import it.
type library struct {
	path string
	only []string
	why  string
}

// libraries has a row for each library that code imports; tests may import more.
var libraries = []library{
	{"github.com/tetratelabs/wazero", []string{"host/engine", "tests"}, "the engine is one package's affair, so that another can take its place"},
	{"github.com/nats-io/nats-server", []string{"ordering/jetstream", "host/node", "host/local", "tests"}, "a server in this process is the affair of who starts one"},
	{"github.com/nats-io/nats.go", natsFolders, "NATS is at the edge: what is above it sees a Log, entries and answers"},
	{"github.com/nats-io/nkeys", natsFolders, "NATS is at the edge: keys are ed25519 to the rest"},
	{"github.com/nats-io/jwt", natsFolders, "NATS is at the edge"},
	{"github.com/cockroachdb/pebble", []string{"snapshot/store", "tests"}, "the key-value store is one package's affair"},
	{"github.com/fxamacker/cbor", []string{"audit/canonical"}, "there is one encoding, and one place for its options"},
	{"github.com/zeebo/blake3", []string{"ordering", "audit", "snapshot", "host", "wasmabi/instrument", "client", "cmd", "tests"}, "guests hash with what they bring"},
	{"github.com/klauspost/compress", []string{"snapshot/archive", "snapshot/store", "snapshot/transfer"}, "compression is a detail of disk and wire"},
	{"github.com/spf13/cobra", []string{"cmd"}, "flags are the commands' affair"},
	{"github.com/rogpeppe/go-internal", []string{"cmd/lockstep/script"}, "scripts test guests and commands; nothing that runs depends on them"},
	{"github.com/spf13/pflag", []string{"cmd"}, "flags are the commands' affair"},
	{"github.com/pelletier/go-toml", []string{"cmd/lockstep/settings"}, "configuration reaches packages as structs"},
	{"github.com/lmittmann/tint", []string{"cmd/lockstep"}, "packages log to the slog.Logger that they are given"},
	{"github.com/fsnotify/fsnotify", []string{"cmd/lockstep/dev"}, "sources change while a guest is written; what runs reads no source"},
	{"github.com/prometheus/client_golang", []string{"host/metrics"}, "what is counted is told to one package"},
	{"github.com/gofrs/flock", []string{"host/daemon"}, "who owns a process locks its folder"},
	{"golang.org/x/sys/cpu", []string{"snapshot"}, "what the processor can do changes how fast pages are hashed, and nothing else"},
	{"golang.org/x/sys", []string{"snapshot/paging", "snapshot/store", "host/engine", "host/node", "cmd/lockstep/screen"}, "the OS is at the edge"},
	{"golang.org/x/term", []string{"cmd"}, "what is a terminal is the commands' affair"},
	{"golang.org/x/time", []string{"client", "host/node", "snapshot/transfer"}, "a clock is at the edge"},
}

var natsFolders = []string{"ordering/jetstream", "snapshot/transfer", "client", "host/node", "host/local", "host/daemon", "cmd", "tests"}

// standard reports whether an import path is the standard library's: those have
// no dot in their first element.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func wrongLibrary(list []pkg) (complaints []string) {
	for _, p := range list {
		for _, imported := range p.Imports {
			if standard(imported) || within(imported, module) {
				continue
			}
			if c := checkLibrary(p, imported); c != "" {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, c))
			}
		}
	}
	return complaints
}

func checkLibrary(p pkg, imported string) string {
	for _, l := range libraries {
		if !within(imported, l.path) {
			continue
		}
		for _, folder := range l.only {
			if within(p.folder(), folder) {
				return ""
			}
		}
		return l.why
	}
	return "a new library needs a paragraph in RATIONALE.md and a row in the table"
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	silent(t, wrongLibrary(ours(t)))
	complains(t, wrongLibrary([]pkg{
		{ImportPath: "lockstep/host/engine", Imports: []string{"github.com/tetratelabs/wazero/api", "github.com/nats-io/nats.go/jetstream"}},
		{ImportPath: "lockstep/host/node", Imports: []string{"os", "lockstep/host", "github.com/tetratelabs/wazero"}},
		{ImportPath: "lockstep/host", Imports: []string{"github.com/fxamacker/cbor/v2"}},
		{ImportPath: "lockstep/client", Imports: []string{"github.com/nats-io/nats.go", "github.com/google/uuid"}},
	}),
		"engine imports github.com/nats-io/nats.go/jetstream: NATS is at the edge",
		"node imports github.com/tetratelabs/wazero: the engine",
		"host imports github.com/fxamacker/cbor/v2: there is one encoding",
		"uuid: a new library",
	)
}

var requirement = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+\.\S+/\S+) v\S+$`) // no "// indirect" behind it

func unexplained(goMod, rationale []byte) (complaints []string) {
	for _, m := range requirement.FindAllSubmatch(goMod, -1) {
		if path := string(m[1]); !strings.Contains(string(rationale), path) {
			complaints = append(complaints, fmt.Sprintf("RATIONALE.md does not name %s: a dependency needs a paragraph", path))
		}
	}
	return complaints
}

func TestDependenciesAreExplained(t *testing.T) {
	texts := make(map[string][]byte)
	for _, f := range committed(t) {
		texts[f.path] = f.text
	}
	silent(t, unexplained(texts["go.mod"], texts["RATIONALE.md"]))
	complains(t, unexplained([]byte("module m\n\nrequire (\n\texample.org/a v1.0.0\n\texample.org/b/v2 v2.1.0\n\texample.org/c v0.0.1 // indirect\n)\n\nrequire example.org/d v1.2.3\n"),
		[]byte("Why a? `example.org/a` is …")), "example.org/b/v2", "example.org/d")
}

func TestModuleFileIsTidy(t *testing.T) {
	c := exec.Command("go", "mod", "tidy", "-diff")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		lines := strings.SplitAfterN(string(out), "\n", 20)
		t.Errorf("go mod tidy would change go.mod or go.sum: %v\n%s", err, strings.Join(lines[:min(len(lines), 19)], ""))
	}
}
