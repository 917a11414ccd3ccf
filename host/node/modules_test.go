package node

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/wasmabi"
)

func open(t *testing.T, dir string) *modules {
	t.Helper()
	m, err := openModules(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.close() })
	return m
}

func unused(audit.Digest) bool { return false }

func TestModules(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir)
	digest := host.ModuleDigest(kv.V1)
	var missing *MissingModuleError
	if _, err := m.load(digest, host.Config{}.Resolve(1)); !errors.As(err, &missing) || missing.Module != digest {
		t.Fatalf("load of a module that is not there: %v", err)
	}
	if err := m.put(kv.V1, unused); err != nil {
		t.Fatal(err)
	}
	g, err := open(t, dir).load(digest, host.Config{}.Resolve(1))
	if err != nil {
		t.Fatalf("load after a restart: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := m.put([]byte("no module"), unused); err != nil {
		t.Fatal(err)
	}
	if _, err := m.load(host.ModuleDigest([]byte("no module")), host.Config{}.Resolve(1)); !errors.Is(err, host.ErrModuleRefused) {
		t.Errorf("load of what is no module: %v, want ErrModuleRefused", err)
	}
	if err := m.put(make([]byte, wasmabi.MaxModule+1), unused); err == nil {
		t.Error("a module over the limit was taken")
	}
}

// A module that went bad on disk is as good as not there.
func TestModuleGoneBad(t *testing.T) {
	m := open(t, t.TempDir())
	if err := m.put(kv.V1, unused); err != nil {
		t.Fatal(err)
	}
	digest := host.ModuleDigest(kv.V1)
	if err := os.WriteFile(m.path(digest), kv.V1[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	var missing *MissingModuleError
	if _, err := m.get(digest); !errors.As(err, &missing) {
		t.Errorf("get: %v, want a *MissingModuleError", err)
	}
	if err := m.put(kv.V1, unused); err != nil {
		t.Fatal(err)
	}
	if _, err := m.get(digest); err != nil {
		t.Error(err)
	}
}

// However many modules are put, few are kept, and those in use always.
func TestModulesAreBounded(t *testing.T) {
	m := open(t, t.TempDir())
	used := host.ModuleDigest([]byte("module 0"))
	for i := range maxModules + 20 {
		wasm := fmt.Appendf(nil, "module %d", i)
		if err := m.put(wasm, func(d audit.Digest) bool { return d == used }); err != nil {
			t.Fatal(err)
		}
		// File times are coarse; the order of age must not be left to them.
		age := time.Unix(1_700_000_000+int64(i), 0)
		if err := os.Chtimes(m.path(host.ModuleDigest(wasm)), age, age); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files) - 1; n > maxModules { // one is the cache of compiled code
		t.Errorf("%d modules are kept, at most %d may be", n, maxModules)
	}
	if _, err := m.get(used); err != nil {
		t.Errorf("the module in use: %v", err)
	}
	if _, err := m.get(host.ModuleDigest([]byte("module 1"))); err == nil {
		t.Error("the oldest module is kept")
	}
}

// Who has modules prepared with ever other limits has few of them kept compiled; an
// instance of one that gave way goes on, and it can be had again.
func TestCompiledAreBounded(t *testing.T) {
	m := open(t, t.TempDir())
	wasm, err := os.ReadFile("../../guests/examples/counter/counter-wat.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.put(wasm, unused); err != nil {
		t.Fatal(err)
	}
	digest := host.ModuleDigest(wasm)
	config := func(pages int) host.Config {
		c := host.Config{}.Resolve(1)
		c.MaxMemory = uint32(1000 + pages)
		return c
	}
	first, err := m.load(digest, config(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxModules + 3 {
		if err := m.compile(digest, config(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.compiled); n != maxModules {
		t.Errorf("%d are kept compiled, want %d", n, maxModules)
	}
	if m.compiled[moduleKey{digest, config(0).MaxMemory}] != nil || m.compiled[moduleKey{digest, config(maxModules + 2).MaxMemory}] == nil {
		t.Error("another one than the one that was not wanted for longest gave way")
	}
	for name, get := range map[string]func() (host.Guest, error){
		"the instance of the one that gave way": func() (host.Guest, error) { return first, nil },
		"a new instance of it":                  func() (host.Guest, error) { return m.load(digest, config(0)) },
	} {
		g, err := get()
		if err != nil {
			t.Fatal(err)
		}
		if o := g.Call(host.Call{Export: wasmabi.ExportApply, Input: []byte("\x82\x63add\x02"), Gas: 1 << 30}); o.Status != wasmabi.OK {
			t.Errorf("%s: %v", name, o.Status)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir() + "/kv"
	a, err := openKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openKey(dir)
	if err != nil || !a.Equal(b) {
		t.Errorf("the key is another after a restart: %v", err)
	}
	if err := os.WriteFile(dir+"/replica.nk", []byte("not a seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openKey(dir); err == nil {
		t.Error("a broken key file was read")
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("key folder has mode %v", info.Mode())
	}
}
