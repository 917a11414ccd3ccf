package instrument

// Limits on a module, so that reading, compiling and running it costs no more
// than its size lets expect. Each admits the largest module seen from any
// compiler with room to spare: Go programs with 100,000 data segments, nesting
// of 1,419 and tables of branches with 3,014 labels.
const (
	maxTypes     = 10_000
	maxImports   = 10_000
	maxFuncs     = 100_000
	maxGlobals   = 10_000
	maxExports   = 10_000
	maxSegments  = 100_000
	maxElements  = 1_000_000 // of a segment
	maxTable     = 1_000_000 // entries
	maxParams    = 1_000
	maxResults   = 1_000
	maxLocals    = 50_000     // of a function, parameters included
	maxAllLocals = 10_000_000 // of all functions
	maxBody      = 8 << 20
	maxNesting   = 8_192
	maxBrTable   = 65_536
	maxNameBytes = 100_000
	maxWork      = 200_000_000

	// See flow.assign; a compiler has a value for each, and takes some 20 µs for it.
	// Programs of 0.5 to 31 MB have one for 8 to 30 bytes.
	minMeetings      = 100_000 // that any module may have
	bytesPerMeetings = 4

	// A compiler keeps for each stretch of code without branches which values live in it, 60 bytes and 1 µs for
	// each, so that their product is bounded: of locals and operands with the stretches that a
	// function has. Programs of 0.5 to 14 MB have 0.3 to 1.2 for a byte, and up to 131,000 in a function.
	minLive       = 1_000_000 // that any module may have
	livePerByte   = 4
	maxLiveOfFunc = 2_000_000
	// A loop costs by how many are around it. Programs have one such for 200 bytes and more, and up to 145 in a function.
	minLooped      = 100_000
	bytesPerLooped = 8
)

// MaxDepth bounds nested calls: the sum of the weights of the functions on the
// stack. A function weighs 1, and 1 more for every frameUnit bytes that its frame
// may have, so that the stack stays below the 50 MB that wazero's compiler gives
// it, and its frames below the 2,000 that wazero's interpreter counts.
const MaxDepth = 1_800

const frameUnit = 16 << 10
