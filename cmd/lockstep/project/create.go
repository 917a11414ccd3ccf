package project

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lockstep/guests"
)

// test is the script that a new project passes. The counter does the same in
// every language.
const test = `# What the guest must do: lockstep test guest.wasm
apply json:["add", 3]
output json:3
event json:["changed", 3]
gas <= 10000000
query json:["get"]
output json:3

# What it rejects leaves no trace.
! apply json:["add", "much"]
! apply json:["subtract", 3]
query json:["get"]
output json:3

# A state that was kept and brought back is the same state.
snapshot three
apply json:["add", 4]
output json:7
reload
query json:["get"]
output json:7
restore three
same three
query json:["get"]
output json:3
`

const fileText = `# How lockstep builds this guest, in this folder, by sh. It takes
# %s.
build = %s

# What the build writes.
wasm = "guest.wasm"

# What the guest takes and answers, put into the module once it is built: 'lockstep describe' shows it.
interface = "interface.json"
`

const readme = `# A guest of Lockstep

A state machine that replicas run, each with the same inputs in the same order. This one is a counter. The SDK,
where the language has one, stands beside it as files: read them, they are short.

The build takes %s.

    lockstep build                                  # as guest.toml says, and checks the module
    lockstep test guest.wasm tests/guest.txtar      # without a cluster
    lockstep dev . --watch                          # three replicas in one process; what you save is swapped in

With a node at hand (lockstep node):

    lockstep deploy counter guest.wasm
    lockstep call counter -i json '["add", 3]'
    lockstep query counter -i json '["get"]'
    lockstep upgrade counter guest.wasm             # after a change: its state is kept

- %s: the guest
- tests/guest.txtar: what it must do
- interface.json: what it takes and answers, for people and tools
- guest.toml: how it is built
`

// Create makes a project in a folder that is new or empty, and says what its
// build takes.
func Create(name, dir string) (needs string, err error) {
	l, err := lookup(name)
	if err != nil {
		return "", err
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return "", fmt.Errorf("folder %s is not empty: name a new one", dir)
	}
	source, err := guests.Files.ReadFile("examples/counter/" + l.source)
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	description, err := guests.Files.ReadFile("examples/counter/interface.json")
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	if err := l.write(dir, l.main, source); err != nil {
		return "", err
	}
	for from, to := range l.sdk {
		if err := l.copySDK(dir, from, to); err != nil {
			return "", err
		}
	}
	files := map[string]string{File: fmt.Sprintf(fileText, l.needs, literal(l.build)), "README.md": fmt.Sprintf(readme, l.needs, l.main),
		"tests/guest.txtar": test, "interface.json": string(description), ".gitignore": "*.wasm\nnode_modules\ntarget\n"}
	for name, text := range l.files {
		files[name] = text
	}
	for name, text := range files {
		if err := put(filepath.Join(dir, filepath.FromSlash(name)), []byte(text)); err != nil {
			return "", err
		}
	}
	return l.needs, nil
}

// literal is a string of TOML in which a command line reads as typed.
func literal(s string) string { return "'''" + s + "'''" }

// copySDK writes the files of a folder of the SDK, without its tests, and without
// what this command does by itself.
func (l language) copySDK(dir, from, to string) error {
	root := "sdk/" + from
	return fs.WalkDir(guests.Files, root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "bundle":
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := guests.Files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read SDK: %w", err)
		}
		return l.write(dir, path.Join(to, strings.TrimPrefix(name, root+"/")), text)
	})
}

// write writes a source, with its paths as they are in the project.
func (l language) write(dir, name string, text []byte) error {
	return put(filepath.Join(dir, filepath.FromSlash(name)), []byte(strings.NewReplacer(l.rename...).Replace(string(text))))
}

func put(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write project: %w", err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return fmt.Errorf("write project: %w", err)
	}
	return nil
}
