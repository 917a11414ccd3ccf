package engine

import (
	"encoding/binary"
	"math"

	"lockstep/wasmabi"
)

// errno is a result of a WASI preview 1 function.
type errno uint32

// Those that are answered. Values are WASI's.
const (
	errnoSuccess errno = 0
	errnoBadF    errno = 8  // no such file descriptor
	errnoFault   errno = 21 // a pointer outside the memory
	errnoInval   errno = 28
	errnoNoSys   errno = 52 // not implemented
	errnoNotSup  errno = 58
	errnoSPipe   errno = 70 // a stream has no position
)

// The file descriptors that exist: an empty input and two outputs to the log.
const (
	stdin  = 0
	stdout = 1
	stderr = 2
)

// Layouts of WASI preview 1, in bytes.
const (
	iovecSize        = 8
	fdstatSize       = 24
	filestatSize     = 64
	filestatType     = 16 // offset of the type
	characterDevice  = 2
	rightFDRead      = 1 << 1
	rightFDWrite     = 1 << 6
	maxIovecs        = 1024 // IOV_MAX
	clockIDs         = 4    // realtime, monotonic, process CPU, thread CPU
	maxSubscriptions = 1024
)

// wasiFunc is what one function of WASI preview 1 does: run, or always the
// same errno.
type wasiFunc struct {
	run   func(g *guest, args []uint64) errno
	errno errno
	does  string // for docs/wasi.md
}

// wasi is the whole of WASI preview 1: a program runs with no arguments, no
// environment, no files and no network, on a clock and a random stream that
// are functions of the order of inputs.
var wasi = map[string]wasiFunc{
	"args_get":          {does: "no arguments; writes nothing"},
	"args_sizes_get":    {run: (*guest).wasiNoStrings, does: "0 arguments, 0 bytes"},
	"environ_get":       {does: "no variables; writes nothing"},
	"environ_sizes_get": {run: (*guest).wasiNoStrings, does: "0 variables, 0 bytes"},
	"clock_res_get":     {run: (*guest).wasiClockRes, does: "1,000 ns for clocks 0–3, else EINVAL"},
	"clock_time_get":    {run: (*guest).wasiClockTime, does: "max(last + 1,000 ns, ordered time), one counter for clocks 0–3, else EINVAL"},
	"poll_oneoff":       {run: (*guest).wasiPoll, does: "streams are ready at once; else the clock moves to the earliest timeout; EINVAL for none or over 1,024 subscriptions"},
	"sched_yield":       {does: "returns at once"},
	"random_get":        {run: (*guest).wasiRandom, does: "the call's random stream, shared with `random`"},
	"proc_exit":         {run: func(*guest, []uint64) errno { panic(trapExited) }, does: "ends the call as trap `exit called`, whatever the code"},
	"proc_raise":        {errno: errnoNoSys, does: "ENOSYS: no signals"},

	"fd_write":            {run: (*guest).wasiWrite, does: "1 and 2 append to the log and report all bytes written; else EBADF"},
	"fd_read":             {run: (*guest).wasiRead, does: "0 is at its end; else EBADF"},
	"fd_close":            {run: onStream(errnoSuccess), does: "0–2 stay open; else EBADF"},
	"fd_fdstat_get":       {run: (*guest).wasiFdstat, does: "0–2 are character devices; else EBADF"},
	"fd_filestat_get":     {run: (*guest).wasiFilestat, does: "0–2 are character devices, all times 0; else EBADF"},
	"fd_fdstat_set_flags": {run: onStream(errnoNotSup), does: "ENOTSUP for 0–2; else EBADF"},
	"fd_seek":             {run: onStream(errnoSPipe), does: "ESPIPE for 0–2; else EBADF"},
	"fd_tell":             {run: onStream(errnoSPipe), does: "ESPIPE for 0–2; else EBADF"},

	"fd_advise":             noFile,
	"fd_allocate":           noFile,
	"fd_datasync":           noFile,
	"fd_fdstat_set_rights":  noFile,
	"fd_filestat_set_size":  noFile,
	"fd_filestat_set_times": noFile,
	"fd_pread":              noFile,
	"fd_prestat_get":        noFile,
	"fd_prestat_dir_name":   noFile,
	"fd_pwrite":             noFile,
	"fd_readdir":            noFile,
	"fd_renumber":           noFile,
	"fd_sync":               noFile,

	"path_create_directory":   noDirectory,
	"path_filestat_get":       noDirectory,
	"path_filestat_set_times": noDirectory,
	"path_link":               noDirectory,
	"path_open":               noDirectory,
	"path_readlink":           noDirectory,
	"path_remove_directory":   noDirectory,
	"path_rename":             noDirectory,
	"path_symlink":            noDirectory,
	"path_unlink_file":        noDirectory,

	"sock_accept":   noSocket,
	"sock_recv":     noSocket,
	"sock_send":     noSocket,
	"sock_shutdown": noSocket,
}

var (
	noFile      = wasiFunc{errno: errnoBadF, does: "EBADF: no files"}
	noDirectory = wasiFunc{errno: errnoBadF, does: "EBADF: no directories"}
	noSocket    = wasiFunc{errno: errnoBadF, does: "EBADF: no sockets"}
)

// wasiFuncs are wasmabi.WASI, with what they do.
func wasiFuncs() []hostFunc {
	funcs := make([]hostFunc, 0, len(wasmabi.WASI))
	for _, decl := range wasmabi.WASI {
		f, ok := wasi[decl.Name]
		if !ok {
			f.errno = errnoNoSys
		}
		funcs = append(funcs, hostFunc{decl, func(g *guest, stack []uint64) {
			result := f.errno
			if f.run != nil {
				result = f.run(g, stack)
			}
			stack[0] = uint64(result)
		}})
	}
	return funcs
}

func isStream(fd uint64) bool { return fd <= stderr }

// onStream answers result for an open descriptor.
func onStream(result errno) func(*guest, []uint64) errno {
	return func(_ *guest, args []uint64) errno {
		if !isStream(args[0]) {
			return errnoBadF
		}
		return result
	}
}

func (g *guest) wasiNoStrings(args []uint64) errno {
	if !g.put32(args[0], 0) || !g.put32(args[1], 0) {
		return errnoFault
	}
	return errnoSuccess
}

func (g *guest) wasiClockRes(args []uint64) errno {
	if args[0] >= clockIDs {
		return errnoInval
	}
	return g.put64(args[1], clockStep)
}

// wasiClockTime ignores the precision that is asked for, args[1].
func (g *guest) wasiClockTime(args []uint64) errno {
	if args[0] >= clockIDs {
		return errnoInval
	}
	return g.put64(args[2], g.clock.read(g.call.Time))
}

func (g *guest) wasiRandom(args []uint64) errno {
	into, ok := g.slice(args[0], args[1])
	if !ok {
		return errnoFault
	}
	g.fillRandom(into)
	return errnoSuccess
}

func (g *guest) wasiFdstat(args []uint64) errno {
	if !isStream(args[0]) {
		return errnoBadF
	}
	stat, ok := g.slice(args[1], fdstatSize)
	if !ok {
		return errnoFault
	}
	clear(stat)
	stat[0] = characterDevice
	rights := uint64(rightFDWrite)
	if args[0] == stdin {
		rights = rightFDRead
	}
	binary.LittleEndian.PutUint64(stat[8:], rights)
	return errnoSuccess
}

func (g *guest) wasiFilestat(args []uint64) errno {
	if !isStream(args[0]) {
		return errnoBadF
	}
	stat, ok := g.slice(args[1], filestatSize)
	if !ok {
		return errnoFault
	}
	clear(stat)
	stat[filestatType] = characterDevice
	return errnoSuccess
}

func (g *guest) wasiRead(args []uint64) errno {
	if args[0] != stdin {
		return errnoBadF
	}
	if !g.put32(args[3], 0) {
		return errnoFault
	}
	return errnoSuccess
}

func (g *guest) wasiWrite(args []uint64) errno {
	fd, count := args[0], args[2]
	if fd != stdout && fd != stderr {
		return errnoBadF
	}
	if count > maxIovecs {
		return errnoInval
	}
	g.charge(count * priceVector)
	vectors, ok := g.slice(args[1], count*iovecSize)
	if !ok {
		return errnoFault
	}
	written := uint64(0)
	for ; len(vectors) > 0; vectors = vectors[iovecSize:] {
		ptr, n := binary.LittleEndian.Uint32(vectors), binary.LittleEndian.Uint32(vectors[4:])
		b, ok := g.slice(uint64(ptr), uint64(n))
		if !ok {
			return errnoFault
		}
		g.logBytes(b)
		written += uint64(n)
	}
	if written > math.MaxUint32 {
		return errnoInval
	}
	if !g.put32(args[3], uint32(written)) {
		return errnoFault
	}
	return errnoSuccess
}

func (g *guest) put32(ptr uint64, v uint32) bool {
	b, ok := g.slice(ptr, 4)
	if ok {
		binary.LittleEndian.PutUint32(b, v)
	}
	return ok
}

func (g *guest) put64(ptr, v uint64) errno {
	b, ok := g.slice(ptr, 8)
	if !ok {
		return errnoFault
	}
	binary.LittleEndian.PutUint64(b, v)
	return errnoSuccess
}
