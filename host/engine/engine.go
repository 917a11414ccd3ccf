// Package engine runs guests on wazero. It is the only importer of wazero, and
// what it adds to it is determinism:
//
//   - A module is instrumented before it is compiled (package instrument), so
//     that gas, stack depth and the bits of NaNs are the module's own business
//     and equal in both of wazero's engines.
//   - The guest sees nothing but its input: the host functions of package
//     wasmabi and a WASI preview 1 whose clock and randomness are functions of
//     the order of inputs. docs/wasi.md lists every function.
//   - Statuses and traps are wasmabi's. No text of wazero leaves a Guest.
//   - The memory is a paging.Memory at a fixed base, and the mutable globals are
//     exported, so that a call that failed is undone without a new instance.
//
// An Engine holds compiled code; a Module is one guest's code; Module.Instantiate
// gives a host.Guest:
//
//	e, err := engine.New(engine.Config{})
//	m, err := e.Compile(wasm, 0)
//	g, err := m.Instantiate()
//	o := g.Call(host.Call{Export: wasmabi.ExportInit, Gas: 1e9})
//
// Engine and Module may be used by several goroutines, a Guest by one at a time.
package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"lockstep/snapshot/paging"
)

// Config of an engine. The zero value runs guests as Auto says, compiles with one worker and keeps no
// cache. Nothing in it changes what guests do.
type Config struct {
	Kind Kind
	// CacheDir keeps machine code between runs of the host; empty for none.
	// It is trusted as the host's own binary is.
	CacheDir string
	// Workers is the number of functions compiled at once, at most: large ones take turns. 0 is 1.
	Workers int
	// Lines has the log of a call that failed name lines of the guest's source, where the module has them (DWARF), and
	// else offsets of its code. To compile takes more memory then.
	Lines bool
	// Tracker finds the pages that guests wrote.
	Tracker paging.Kind
}

const maxWorkers = 64

// Validate checks the config.
func (c Config) Validate() error {
	if c.Kind > Interpreter {
		return fmt.Errorf("unknown %v", c.Kind)
	}
	if c.Workers < 0 || c.Workers > maxWorkers {
		return fmt.Errorf("compile with %d workers, want at most %d", c.Workers, maxWorkers)
	}
	return nil
}

// features are WebAssembly 2.0, and constant expressions that add. What of it
// a guest may use is decided by package instrument.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst

// Engine compiles modules.
type Engine struct {
	config   Config
	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil for none
	cacheDir string
	turns    *turns
}

// New returns an engine. It fails where the kind cannot run on this machine or
// the cache folder cannot be made.
func New(config Config) (_ *Engine, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config.Kind = config.Kind.Resolve()
	e := &Engine{config: config, turns: newTurns()}
	ctx := context.Background()
	rc := wazero.NewRuntimeConfigInterpreter()
	if config.Kind == Compiler {
		rc = wazero.NewRuntimeConfigCompiler()
	}
	// Names for stack traces are of no use, and a module may lie in them.
	rc = rc.WithCoreFeatures(features).WithDebugInfoEnabled(config.Lines)
	if config.CacheDir != "" && config.Kind == Compiler {
		if e.cacheDir, err = openCacheDir(config.CacheDir); err != nil {
			return nil, err
		}
	}
	if e.cacheDir != "" {
		// Its own object for each runtime: wazero mixes up types where two share one.
		if e.cache, err = wazero.NewCompilationCacheWithDir(e.cacheDir); err != nil {
			return nil, fmt.Errorf("open compilation cache: %w", err)
		}
		rc = rc.WithCompilationCache(e.cache)
	}
	// wazero panics where it cannot map executable memory.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("start %v: %v", config.Kind, r)
		}
	}()
	e.runtime = wazero.NewRuntimeWithConfig(ctx, rc)
	if err := register(ctx, e.runtime); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Kind is how guests run: Compiler or Interpreter.
func (e *Engine) Kind() Kind { return e.config.Kind }

// Close frees all compiled code. Guests must be closed before.
func (e *Engine) Close() error {
	ctx := context.Background()
	err := e.runtime.Close(ctx)
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(ctx))
	}
	return err
}
