// Package wasmabi is the contract between Lockstep and a guest: the names a
// guest exports, the host functions it may import, the statuses an input can
// end with, and the limits on all of them.
//
// # The contract, version 1
//
// A guest is a core WebAssembly module. It exports its memory as "memory" and
//
//	lockstep_apply() -> i32      run one input; 0 accepts it, any other code rejects it
//
// and, if it likes,
//
//	lockstep_query() -> i32      answer a read; its changes are undone
//	lockstep_invariant() -> i32  tell whether the state is as it must always be; its changes are undone
//	lockstep_init()  -> i32      run once, on deploy
//	lockstep_timer() -> i32      a timer that set_timer set is due; its input is the timer's id
//	lockstep_save()  -> i32      write the whole state as output (before an upgrade)
//	lockstep_load()  -> i32      read the whole state as input (after an upgrade)
//	_initialize()                the constructors of a WASI reactor; run before lockstep_init
//
// It pulls its input and pushes its output through functions of module
// "lockstep_v1", so that no allocator has to be exported; see Imports. The
// module's name carries the contract's version: a guest that imports from
// "lockstep_v2" is refused by name.
//
// Modules compiled for WASI preview 1 run unmodified: see WASI.
//
// docs/guest-contract.md is the same at more length.
package wasmabi

// Version of the contract. It is part of the import module's name.
const Version = 1

// Module is the import module of the host functions.
const Module = "lockstep_v1"

// WASIModule is the import module of WASI preview 1.
const WASIModule = "wasi_snapshot_preview1"

// Names that a guest exports.
const (
	ExportMemory     = "memory"
	ExportApply      = "lockstep_apply"
	ExportQuery      = "lockstep_query"
	ExportInvariant  = "lockstep_invariant"
	ExportInit       = "lockstep_init"
	ExportTimer      = "lockstep_timer"
	ExportSave       = "lockstep_save"
	ExportLoad       = "lockstep_load"
	ExportInitialize = "_initialize"
)

// Func is the name and type of a function that crosses the boundary.
// Params and Results hold one letter per value: i = i32, I = i64.
type Func struct {
	Module  string // import module; empty for an export
	Name    string
	Params  string
	Results string
}

// Exports lists the functions a guest may export under the contract.
// Apply is the only one it must.
var Exports = []Func{
	{Name: ExportApply, Results: "i"},
	{Name: ExportQuery, Results: "i"},
	{Name: ExportInvariant, Results: "i"},
	{Name: ExportInit, Results: "i"},
	{Name: ExportTimer, Results: "i"},
	{Name: ExportSave, Results: "i"},
	{Name: ExportLoad, Results: "i"},
	{Name: ExportInitialize},
}

// Imports lists the host functions of the contract. Pointers and lengths are
// byte offsets into the guest's memory; one that leaves the memory traps.
var Imports = []Func{
	// input_size: length of the input in bytes.
	{Module, "input_size", "", "i"},
	// input_read(ptr, len, offset): copies input[offset:offset+len] to ptr,
	// cut at the input's end; returns the bytes copied.
	{Module, "input_read", "iii", "i"},
	// output_write(ptr, len): appends to the output. Traps past MaxOutput.
	{Module, "output_write", "ii", ""},
	// time: ordered time of the entry in nanoseconds since 1970 UTC; equal
	// for all replicas and for all inputs of an entry.
	{Module, "time", "", "I"},
	// seq: position of the entry in the log.
	{Module, "seq", "", "I"},
	// caller(ptr): writes the 32-byte id of the client that asks.
	{Module, "caller", "i", ""},
	// random(ptr, len): fills with a deterministic stream, fresh for each input.
	{Module, "random", "ii", ""},
	// emit(ptr, len): an event for whoever subscribes to the machine, forgotten
	// where the input fails. Traps past MaxEvents or MaxEventBytes.
	{Module, "emit", "ii", ""},
	// set_timer(id, at): lockstep_timer runs with this id at the first entry
	// whose ordered time is at least at, in nanoseconds since 1970 UTC. A timer
	// that is set again moves; at 0 or below cancels it. Traps past MaxTimers,
	// and where the guest does not export lockstep_timer.
	{Module, "set_timer", "II", ""},
	// log(ptr, len): a line for the operator; outside the replicated state.
	{Module, "log", "ii", ""},
}
