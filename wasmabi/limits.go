package wasmabi

// Limits that both sides of the boundary know.
const (
	MaxModule = 32 << 20  // bytes of a module
	MaxInput  = 512 << 10 // bytes of one input
	MaxOutput = 512 << 10 // bytes of one output
	MaxState  = 256 << 20 // bytes that lockstep_save may write
	MaxLog    = 16 << 10  // bytes of log kept per input; the rest is dropped, not trapped

	// MaxMemory is the largest linear memory in 64 KiB Wasm pages. wazero's
	// compiler cannot address the 65,536th.
	MaxMemory = 65535
)
