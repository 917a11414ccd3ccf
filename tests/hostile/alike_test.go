package hostile

import (
	"errors"
	"log"
	"os"
	"reflect"
	"strings"
	"testing"

	"lockstep/host"
	"lockstep/host/engine"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// engines are one of each kind, for all tests.
var engines []*engine.Engine

func TestMain(m *testing.M) {
	for _, kind := range []engine.Kind{engine.Compiler, engine.Interpreter} {
		e, err := engine.New(engine.Config{Kind: kind, Workers: 2})
		if err != nil {
			log.Fatal(err)
		}
		engines = append(engines, e)
	}
	code := m.Run()
	for _, e := range engines {
		if err := e.Close(); err != nil {
			log.Fatal(err)
		}
	}
	os.Exit(code)
}

// Both engines refuse a module in the same words, or give the same outcome,
// which is the one that the case has; and again after it was undone.
func TestEnginesAlike(t *testing.T) {
	for _, g := range guests() {
		t.Run(g.name, func(t *testing.T) {
			wasm := g.wasm()
			for _, e := range engines {
				compiled, err := e.Compile(wasm, pages)
				if g.refused != "" {
					checkRefusal(t, g, err)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				twice(t, g, compiled)
				if err := compiled.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func checkRefusal(t *testing.T, g guest, err error) {
	t.Helper()
	var refusal *instrument.Refusal
	if !errors.As(err, &refusal) || !strings.HasPrefix(err.Error(), g.refused) {
		t.Errorf("got %v, want refused: %s", err, g.refused)
	}
}

func twice(t *testing.T, g guest, m *engine.Module) {
	t.Helper()
	instance, err := m.Instantiate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = instance.Close() }()
	want := host.Outcome{Status: g.status, Trap: g.trap, Gas: g.gas, Output: []byte(g.output)}
	for range 2 {
		got := instance.Call(host.Call{Export: wasmabi.ExportApply, Gas: inputGas})
		if len(got.Log) != g.log && g.log > 0 {
			t.Errorf("log has %d bytes, want %d", len(got.Log), g.log)
		}
		got.Log, got.Output = nil, append([]byte{}, got.Output...)
		if got.Status == wasmabi.OK { // else there are none
			got.Events, got.Timers = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v, gas %d, %d bytes %.20q", got.Status, got.Trap, got.Gas, len(got.Output), got.Output)
		}
		instance.Undo()
	}
}
