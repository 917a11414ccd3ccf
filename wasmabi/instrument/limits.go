package instrument

// Limits on a module, so that reading, compiling and running it costs no more
// than its size lets expect. Each admits the largest module seen from any
// compiler with room to spare: Go programs with 100,000 data segments, nesting
// of 3,290, tables of branches with 5,490 labels, and a function of 246,070 bytes in one of Rust.
const (
	maxTypes     = 2_500   // each of which a compiler looks at for each function; 118
	maxTyped     = 100_000 // parameters and results of all types
	maxImports   = 10_000
	maxFuncs     = 100_000
	maxGlobals   = 10_000
	maxExports   = 10_000
	maxSegments  = 100_000
	maxElements  = 1_000_000 // of all segments, 8 bytes each in an instance; 16,520
	maxTables    = 100
	maxTable     = 1_000_000 // entries of all, 8 bytes each in an instance
	maxParams    = 1_000
	maxResults   = 1_000
	maxLocals    = 50_000     // of a function, parameters included
	maxAllLocals = 10_000_000 // of all functions
	maxBody      = 512 << 10
	maxNesting   = 8_192
	maxBrTable   = 25_000
	maxNameBytes = 100_000

	// What follows grows with the module, from what any may have to somewhat more than
	// the largest programs have, of 14 to 31 MB. They stand behind it.

	// See flow.assign; a compiler has a value for each, and takes some 15 µs for it.
	minMeetings      = 100_000
	bytesPerMeetings = 4
	maxMeetings      = 3_200_000 // 2.1 million, one for 8 bytes

	// A compiler keeps for each stretch of code without branches which values live in it, 60 bytes and 1 µs for
	// each, so that their product is bounded: of locals and operands with the stretches that a
	// function has.
	minLive       = 1_000_000
	livePerByte   = 4
	maxLive       = 64_000_000 // 42 million, 1.8 for a byte
	maxLiveOfFunc = 4_000_000  // 2.3 million

	// From where stretches meet a compiler goes up through those before it, to the function's beginning or nearly, at 2 to 9 ns a step:
	// the square of how many a function has is bounded.
	minPairs     = 650_000_000
	pairsPerByte = 150
	maxPairs     = 2_400_000_000 // 1,470 million, 98 for a byte

	// Types of many values make much of few bytes: blocks and calls move them, for 1 µs and 400 bytes each.
	minOperands      = 1_000_000
	bytesPerOperands = 16
	maxOperands      = 2_500_000 // 0.8 million, one for 16 bytes

	// A loop costs by how many are around it.
	minLooped      = 100_000
	bytesPerLooped = 8
	maxLooped      = 500_000 // 50 thousand, one for 200 bytes

	// See machinecode.go.
	minMachine       = 8_000_000
	machinePerByte   = 12
	maxMachine       = 256_000_000 // 120 million, 6.4 for a byte
	maxMachineOfFunc = 6_000_000   // 1.5 million
	machineAtOnce    = 8_000_000   // half a gigabyte
)

// MaxDepth bounds nested calls: the sum of the weights of the functions on the
// stack. A function weighs 1, and 1 more for every frameUnit bytes that its frame
// may have, so that the stack stays below the 50 MB that wazero's compiler gives
// it, and its frames below the 2,000 that wazero's interpreter counts.
const MaxDepth = 1_800

const frameUnit = 16 << 10
