//go:build wasip1

package lockstep

import (
	"encoding/binary"
	"io"
	"unsafe"
)

//go:wasmimport lockstep_v1 input_size
func inputSize() uint32

//go:wasmimport lockstep_v1 input_read
func inputRead(into unsafe.Pointer, size, offset uint32) uint32

//go:wasmimport lockstep_v1 output_write
func outputWrite(from unsafe.Pointer, size uint32)

//go:wasmimport lockstep_v1 time
func hostTime() int64

//go:wasmimport lockstep_v1 seq
func hostSeq() uint64

//go:wasmimport lockstep_v1 caller
func hostCaller(into unsafe.Pointer)

//go:wasmimport lockstep_v1 random
func hostRandom(into unsafe.Pointer, size uint32)

//go:wasmimport lockstep_v1 emit
func hostEmit(from unsafe.Pointer, size uint32)

//go:wasmimport lockstep_v1 set_timer
func hostSetTimer(id, at int64)

//go:wasmimport lockstep_v1 log
func hostLog(from unsafe.Pointer, size uint32)

// imports is the host of a guest that runs.
type imports struct{}

func (imports) seq() uint64     { return hostSeq() }
func (imports) time() int64     { return hostTime() }
func (imports) random(p []byte) { hostRandom(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p))) }
func (imports) log(line string) { hostLog(unsafe.Pointer(unsafe.StringData(line)), uint32(len(line))) }

func (imports) emit(event []byte) {
	hostEmit(unsafe.Pointer(unsafe.SliceData(event)), uint32(len(event)))
}

func (imports) setTimer(id, at int64) {
	if _, ok := machine.(Timed); !ok && at > 0 {
		panic("lockstep: SetTimer of a machine that is not Timed")
	}
	hostSetTimer(id, at)
}

func (imports) caller() (id [32]byte) {
	hostCaller(unsafe.Pointer(&id))
	return id
}

var (
	ctx   = &Ctx{imports{}}
	input []byte // kept between calls; what a machine gets is a part of it
)

func readInput() []byte {
	n := int(inputSize())
	if cap(input) < n {
		input = make([]byte, n)
	}
	input = input[:n]
	inputRead(unsafe.Pointer(unsafe.SliceData(input)), uint32(n), 0)
	return input
}

// inputReader reads the input piece by piece.
type inputReader struct{ offset uint32 }

func (r *inputReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := inputRead(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)), r.offset)
	if n == 0 {
		return 0, io.EOF
	}
	r.offset += n
	return int(n), nil
}

// outputWriter appends to the output.
type outputWriter struct{}

func (outputWriter) Write(p []byte) (int, error) {
	outputWrite(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
	return len(p), nil
}

// answer gives the host the output and returns the code.
func answer(output []byte, err error) uint32 {
	var code uint32
	if err != nil {
		code, output = verdict(err)
	}
	if len(output) > 0 {
		outputWrite(unsafe.Pointer(unsafe.SliceData(output)), uint32(len(output)))
	}
	return code
}

//go:wasmexport lockstep_apply
func apply() uint32 { return answer(machine.Apply(ctx, readInput())) }

//go:wasmexport lockstep_query
func query() uint32 {
	q, ok := machine.(Querier)
	if !ok {
		return answer(nil, errUnsupported)
	}
	return answer(q.Query(ctx, readInput()))
}

//go:wasmexport lockstep_invariant
func invariant() uint32 {
	if c, ok := machine.(Checked); ok {
		return answer(nil, c.Invariant(ctx))
	}
	return 0
}

//go:wasmexport lockstep_init
func initialize() uint32 {
	if i, ok := machine.(Initializer); ok {
		return answer(nil, i.Init(ctx))
	}
	return 0
}

//go:wasmexport lockstep_timer
func timer() uint32 {
	t, ok := machine.(Timed)
	if !ok {
		return answer(nil, errUnsupported)
	}
	return answer(nil, t.Timer(ctx, int64(binary.LittleEndian.Uint64(readInput()))))
}

//go:wasmexport lockstep_save
func save() uint32 {
	s, ok := machine.(State)
	if !ok {
		return answer(nil, errUnsupported)
	}
	return answer(nil, s.Save(outputWriter{}))
}

//go:wasmexport lockstep_load
func load() uint32 {
	s, ok := machine.(State)
	if !ok {
		return answer(nil, errUnsupported)
	}
	return answer(nil, s.Load(&inputReader{}))
}
