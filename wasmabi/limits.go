package wasmabi

// Limits that both sides of the boundary know.
const (
	MaxModule = 32 << 20  // bytes of a module
	MaxInput  = 512 << 10 // bytes of one input
	MaxOutput = 512 << 10 // bytes of one output
	MaxState  = 256 << 20 // bytes that lockstep_save may write
	MaxEvents = 256       // events of one input
	MaxTimers = 16 << 10  // pending timers of a machine, and calls of set_timer by one input
	MaxLog    = 16 << 10  // bytes of log kept per input; the rest is dropped, not trapped

	MaxEventBytes = 64 << 10 // of all events of one input together

	// MaxTimersPerEntry bounds the timers that run before the inputs of one
	// entry; those that are due beyond it run with the next entry.
	MaxTimersPerEntry = 256

	// MaxMemory is the largest linear memory in 64 KiB Wasm pages. wazero's
	// compiler cannot address the 65,536th.
	MaxMemory = 65535
)
