package pages

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// followed has a row for each page of docs that has commands. This package follows them, tests/newcomer the quickstart and
// the tutorials.
// The examples in cli.md are those of the commands' own help, from which it is generated.
var followed = []string{"docs/running.md", "docs/quickstart.md", "docs/sqlite.md", "docs/cli.md"}

// newcomers are the pages that tests/newcomer follows.
const newcomers = "docs/tutorials"

func page(t *testing.T, path string) Page {
	t.Helper()
	p, err := Read("../..", path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAllClaimsAreFollowed(t *testing.T) {
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		name, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if page(t, name).Claims() && !slices.Contains(followed, name) && filepath.ToSlash(filepath.Dir(name)) != newcomers {
			t.Errorf("%s has commands or output, and no test follows it: add a row, or mark its blocks as elsewhere", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Three nodes by hand, one killed and started again, a backup, the metrics: real processes.
func TestRunning(t *testing.T) {
	p := page(t, "docs/running.md")
	r := NewReader(t, Options{Root: "../..", Clone: true})
	r.Follow(t, p)
	unit(t, filepath.Join(r.Dir, "lockstep.service"))
	compose(t, filepath.Join(r.Dir, "compose.yaml"))
}

// SQL on three nodes.
func TestSQLite(t *testing.T) {
	NewReader(t, Options{Root: "../..", Clone: true}).Follow(t, page(t, "docs/sqlite.md"))
}

var wrongKey = regexp.MustCompile(`Unknown|Failed to parse|Invalid|ignoring`)

// unit wants systemd to know every key of a unit. The program that it starts is not installed here.
func unit(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nExecStart=/usr/local/bin/lockstep node --config ") {
		t.Errorf("the unit starts no node:\n%s", text)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("there is no systemd-analyze here")
		return
	}
	there := strings.ReplaceAll(string(text), "/usr/local/bin/lockstep", "/bin/true")
	if err := os.WriteFile(path, []byte(there), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	for line := range strings.Lines(string(out)) { // of other units too, and of users that are not here
		if strings.Contains(line, filepath.Base(path)) && wrongKey.MatchString(line) {
			t.Errorf("systemd: %s (%v)", strings.TrimSpace(line), err)
		}
	}
}

// compose wants what docker compose is given to be YAML with a node in each service, each with its
// own configuration and volume.
func compose(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Build   string
			Command []string
			Volumes []string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 3 || len(file.Volumes) != 3 {
		t.Errorf("%d services and %d volumes, want 3", len(file.Services), len(file.Volumes))
	}
	for name, s := range file.Services {
		want := []string{"./cluster/" + name + ":/etc/lockstep:ro", name + ":/data"}
		if _, known := file.Volumes[name]; !known || !slices.Equal(s.Volumes, want) || s.Build != "." {
			t.Errorf("service %s has volumes %v, want %v", name, s.Volumes, want)
		}
		if !slices.Equal(s.Command, []string{"node", "--config", "/etc/lockstep/node.toml"}) {
			t.Errorf("service %s runs %v", name, s.Command)
		}
	}
}

// The configuration that compose.yaml mounts is one with its paths and its addresses.
func TestComposeConfiguration(t *testing.T) {
	r := NewReader(t, Options{Root: "../.."})
	said, err := r.run("lockstep init cluster --nodes n1,n2,n3 --hosts n1,n2,n3 --data /data --json", "")
	if err != nil {
		t.Fatal(err)
	}
	var cluster struct{ URL string }
	if err := json.Unmarshal([]byte(said), &cluster); err != nil || cluster.URL != "nats://n1:4222,nats://n2:4222,nats://n3:4222" {
		t.Errorf("cluster is %s, %v", said, err)
	}
	text, err := os.ReadFile(filepath.Join(r.Dir, "cluster", "n2", "node.toml"))
	if err != nil || !strings.Contains(r.plain(string(text)), "\ndata = \"/data\"\n") || !strings.Contains(r.plain(string(text)), "\nlisten = \"n2:4222\"\n") {
		t.Errorf("%v: n2 is configured by\n%s", err, text)
	}
}
