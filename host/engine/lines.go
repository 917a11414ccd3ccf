package engine

import (
	"bytes"
	"debug/dwarf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"sync"

	"lockstep/wasmabi/instrument"
)

// With Config.Lines frames tell where in the guest's source they were. wazero gives offsets of the
// code that it compiled if the module has DWARF; so it gets one that says no more than
// that there is code. The offset is then looked for in the guest's own.

// lines finds source lines of a module, and reads it when it is first asked.
type lines struct {
	module []byte
	config instrument.Config

	once    sync.Once
	locator *instrument.Locator
	info    *dwarf.Data // nil if the module has none
}

// find is where an offset of instrumented code comes from: a file and a line, else an offset of the code as it was.
func (l *lines) find(offset int) string {
	l.once.Do(l.read)
	if l.locator == nil {
		return ""
	}
	original, ok := l.locator.Original(offset)
	if !ok {
		return ""
	}
	if l.info != nil {
		if file, line, ok := lookUp(l.info, uint64(original)); ok {
			return fmt.Sprintf("%s:%d", printable(file), line)
		}
	}
	return fmt.Sprintf("code offset %#x", original)
}

func (l *lines) read() {
	var err error
	if l.locator, err = instrument.Locate(l.module, l.config); err != nil {
		return
	}
	s := instrument.Customs(l.module, ".debug_")
	if s[".debug_info"] == nil {
		return
	}
	l.info, err = dwarf.New(s[".debug_abbrev"], nil, nil, s[".debug_info"], s[".debug_line"], nil, s[".debug_ranges"], s[".debug_str"])
	if err != nil {
		l.info = nil
		return
	}
	for _, name := range []string{".debug_addr", ".debug_line_str", ".debug_str_offsets", ".debug_rnglists"} {
		if err := l.info.AddSection(name, s[name]); err != nil {
			l.info = nil
			return
		}
	}
}

// lookUp finds the line with the nearest address before.
func lookUp(info *dwarf.Data, pc uint64) (file string, line int, ok bool) {
	unit, err := info.Reader().SeekPC(pc)
	if err != nil {
		return "", 0, false
	}
	r, err := info.LineReader(unit)
	if err != nil || r == nil {
		return "", 0, false
	}
	var entry dwarf.LineEntry
	best := uint64(0)
	for {
		if err := r.Next(&entry); errors.Is(err, io.EOF) {
			return file, line, ok
		} else if err != nil {
			return "", 0, false
		}
		if entry.Address <= pc && (!ok || entry.Address >= best) && !entry.EndSequence && entry.Line > 0 && entry.File != nil {
			best, file, line, ok = entry.Address, path.Clean(entry.File.Name), entry.Line, true
		}
	}
}

// offset reads a line of wazero's trace that has one.
func offset(line string) (int, bool) {
	hex, _, ok := strings.Cut(line, ":")
	digits, found := strings.CutPrefix(hex, "0x")
	if !ok || !found {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 31)
	return int(n), err == nil
}

// anyCode is DWARF 4 of one unit that has all code and a line for it.
func anyCode() []byte {
	const size = 0x7fffff00 // of the code; it begins at 1
	u32 := func(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
	sized := func(b []byte) []byte { return append(u32(len(b)), b...) }
	abbrev := []byte{1, 0x11, 0, 0x11, 1, 0x12, 6, 0x10, 0x17, 0, 0, 0} // a unit with low_pc, high_pc, stmt_list
	info := sized(bytes.Join([][]byte{{4, 0}, u32(0), {4, 1}, u32(1), u32(size), u32(0)}, nil))
	header := []byte{1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 'w', 0, 0, 0, 0, 0}
	program := bytes.Join([][]byte{{0, 5, 2}, u32(1), {1, 2}, binary.AppendUvarint(nil, size), {0, 1, 1}}, nil)
	line := sized(bytes.Join([][]byte{{4, 0}, sized(header), program}, nil))
	var out []byte
	for _, s := range []struct {
		name string
		data []byte
	}{{".debug_abbrev", abbrev}, {".debug_info", info}, {".debug_line", line}} {
		content := append(append([]byte{byte(len(s.name))}, s.name...), s.data...)
		out = append(append(append(out, 0), binary.AppendUvarint(nil, uint64(len(content)))...), content...)
	}
	return out
}
