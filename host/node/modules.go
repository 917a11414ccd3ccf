package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/ordering/journal/durable"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// modules are the guests' modules that the node holds: their bytes on disk,
// one file each named by its digest, and compiled in memory.
type modules struct {
	dir    string
	engine *engine.Engine
	own    bool // the engine is to be closed

	mu       sync.Mutex
	compiled map[moduleKey]*compiled
	uses     uint64
}

// compiled is a module that is ready to run.
type compiled struct {
	*engine.Module
	used uint64 // when, in uses of all
}

// moduleKey is what compiled code depends on besides the engine.
type moduleKey struct {
	module audit.Digest
	memory uint32
}

// MissingModuleError says that the node does not hold a module.
type MissingModuleError struct{ Module audit.Digest }

func (e *MissingModuleError) Error() string { return fmt.Sprintf("module %v is not here", e.Module) }

func openModules(dir string, shared *engine.Engine) (*modules, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make module directory: %w", err)
	}
	m := &modules{dir: dir, engine: shared, compiled: make(map[moduleKey]*compiled)}
	if shared == nil {
		e, err := engine.New(engine.Config{CacheDir: filepath.Join(dir, "compiled"), Workers: runtime.GOMAXPROCS(0)})
		if err != nil {
			return nil, fmt.Errorf("start engine: %w", err)
		}
		m.engine, m.own = e, true
	}
	return m, nil
}

func (m *modules) path(module audit.Digest) string {
	return filepath.Join(m.dir, module.Hex()+".wasm")
}

// get returns a module's bytes, or a *MissingModuleError. Bytes that went bad
// on disk are removed and missing.
func (m *modules) get(module audit.Digest) ([]byte, error) {
	wasm, err := os.ReadFile(m.path(module))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &MissingModuleError{module}
	case err != nil:
		return nil, fmt.Errorf("read module: %w", err)
	case host.ModuleDigest(wasm) != module:
		return nil, errors.Join(&MissingModuleError{module}, os.Remove(m.path(module)))
	}
	return wasm, nil
}

// maxModules bounds the modules on disk, and those compiled in memory, where one with
// two limits of memory is two. Anyone who may deploy may ask a node to prepare one.
const maxModules = 64

// put makes a module durable. Where there are too many, the oldest that no
// machine runs gives way.
func (m *modules) put(wasm []byte, inUse func(audit.Digest) bool) error {
	if len(wasm) > wasmabi.MaxModule {
		return fmt.Errorf("module has %d bytes, want at most %d", len(wasm), wasmabi.MaxModule)
	}
	if err := m.makeRoom(inUse); err != nil {
		return err
	}
	if err := durable.WriteFile(m.path(host.ModuleDigest(wasm)), wasm); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	return nil
}

func (m *modules) makeRoom(inUse func(audit.Digest) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(m.dir, "*.wasm"))
	if err != nil || len(files) < maxModules {
		return err
	}
	var oldest audit.Digest
	var when time.Time
	for _, path := range files {
		var d audit.Digest
		info, err := os.Stat(path)
		if _, bad := hex.Decode(d[:], []byte(strings.TrimSuffix(filepath.Base(path), ".wasm"))); err != nil || bad != nil || inUse(d) {
			continue
		}
		if when.IsZero() || info.ModTime().Before(when) {
			oldest, when = d, info.ModTime()
		}
	}
	if when.IsZero() {
		return fmt.Errorf("node runs %d modules, the most it holds", len(files))
	}
	for key, c := range m.compiled {
		if key.module == oldest {
			delete(m.compiled, key)
			if err := c.Close(); err != nil {
				return fmt.Errorf("free module: %w", err)
			}
		}
	}
	return os.Remove(m.path(oldest))
}

// compile makes a module ready to run. What is wrong with the module itself is
// host.ErrModuleRefused.
func (m *modules) compile(module audit.Digest, config host.Config) error {
	key := moduleKey{module, config.MaxMemory}
	if m.ready(key) {
		return nil
	}
	wasm, err := m.get(module)
	if err != nil {
		return err
	}
	c, err := m.engine.Compile(wasm, config.MaxMemory)
	var refusal *instrument.Refusal
	if errors.As(err, &refusal) {
		return fmt.Errorf("%w: %w", host.ErrModuleRefused, refusal)
	}
	if err != nil {
		return fmt.Errorf("compile module: %w", err)
	}
	return m.enter(key, c)
}

// ready tells whether a module is compiled, and takes note that it is wanted.
func (m *modules) ready(key moduleKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.compiled[key]
	if c != nil {
		m.uses++
		c.used = m.uses
	}
	return c != nil
}

// enter keeps a compiled module, in place of the one that was not wanted for longest where
// there are too many. Instances of that go on.
func (m *modules) enter(key moduleKey, c *engine.Module) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.compiled[key] != nil {
		return c.Close() // others compiled it meanwhile
	}
	m.uses++
	m.compiled[key] = &compiled{c, m.uses}
	if len(m.compiled) <= maxModules {
		return nil
	}
	oldest := key
	for k, c := range m.compiled {
		if c.used < m.compiled[oldest].used {
			oldest = k
		}
	}
	old := m.compiled[oldest]
	delete(m.compiled, oldest)
	return old.Close()
}

// load is host.Load.
func (m *modules) load(module audit.Digest, config host.Config) (host.Guest, error) {
	for {
		if err := m.compile(module, config); err != nil {
			return nil, err
		}
		if g, err := m.instantiate(moduleKey{module, config.MaxMemory}); g != nil || err != nil {
			return g, err
		}
	}
}

// instantiate makes an instance of a compiled module, which may have given way to others: then
// of none.
func (m *modules) instantiate(key moduleKey) (host.Guest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.compiled[key]
	if c == nil {
		return nil, nil
	}
	return c.Instantiate()
}

func (m *modules) close() error {
	if !m.own {
		return nil
	}
	return m.engine.Close()
}
