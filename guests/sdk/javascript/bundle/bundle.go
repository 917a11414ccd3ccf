// Package bundle makes one module of the JavaScript engine and a script, so that
// a machine written in JavaScript is deployed and upgraded like any other: the
// module's digest names the script too. The same engine and script give the
// same bytes.
//
// The engine, built by ../build.sh, keeps a place of MaxScript bytes for scripts
// and exports its address as the global "ls_script". Bundle adds a data segment
// there.
package bundle

import (
	"bytes"
	_ "embed" // for the prelude
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxScript bounds the scripts together, the SDK's own included, in bytes.
const MaxScript = 1 << 20

// prelude is the SDK, which is run before the guest's script.
//
//go:embed prelude.js
var prelude []byte

// exported is the engine's global with the address of the scripts.
const exported = "ls_script"

// The sections that matter, by id, and what stands in them.
const (
	sectionGlobal    = 6
	sectionExport    = 7
	sectionDataCount = 12
	sectionData      = 11

	kindGlobal = 3
	typeI32    = 0x7f
	opI32Const = 0x41
	opEnd      = 0x0b
)

var errEngine = errors.New("not the JavaScript engine of this SDK: build it with guests/sdk/javascript/build.sh")

// Module returns the engine with a script in it.
func Module(engine, script []byte) ([]byte, error) {
	text, err := scripts(script)
	if err != nil {
		return nil, err
	}
	sections, err := split(engine)
	if err != nil {
		return nil, err
	}
	address, err := address(sections)
	if err != nil {
		return nil, err
	}
	out, added := bytes.Clone(engine[:8]), false
	for _, s := range sections {
		switch s.id {
		case sectionDataCount:
			n, _, err := number(s.body)
			if err != nil {
				return nil, err
			}
			s.body = binary.AppendUvarint(nil, n+1)
		case sectionData:
			if s.body, err = addSegment(s.body, address, text); err != nil {
				return nil, err
			}
			added = true
		}
		out = append(out, s.id)
		out = binary.AppendUvarint(out, uint64(len(s.body)))
		out = append(out, s.body...)
	}
	if !added { // it has no data
		return nil, errEngine
	}
	return out, nil
}

// scripts is what stands in memory: each script with a zero byte behind it.
func scripts(script []byte) ([]byte, error) {
	switch {
	case bytes.IndexByte(script, 0) >= 0:
		return nil, errors.New("script has a zero byte")
	case !utf8.Valid(script):
		return nil, errors.New("script is not UTF-8")
	case len(bytes.TrimSpace(script)) == 0:
		return nil, errors.New("script is empty")
	case len(prelude)+len(script)+2 > MaxScript:
		return nil, fmt.Errorf("script has %d bytes, at most %d", len(script), MaxScript-len(prelude)-2)
	}
	text := append(bytes.Clone(prelude), 0)
	return append(append(text, script...), 0), nil
}

type section struct {
	id   byte
	body []byte
}

// split cuts a module into its sections.
func split(module []byte) ([]section, error) {
	rest, ok := bytes.CutPrefix(module, []byte("\x00asm\x01\x00\x00\x00"))
	if !ok {
		return nil, errEngine
	}
	var sections []section
	for len(rest) > 0 {
		id := rest[0]
		size, after, err := number(rest[1:])
		if err != nil || size > uint64(len(after)) {
			return nil, errEngine
		}
		sections = append(sections, section{id, after[:size]})
		rest = after[size:]
	}
	return sections, nil
}

func number(b []byte) (n uint64, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > 1<<32-1 {
		return 0, nil, errEngine
	}
	return n, b[size:], nil
}

// address finds where the scripts go: the value of the exported global. The
// engine imports no globals, so that its index is its place.
func address(sections []section) (int32, error) {
	index, globals := -1, []byte(nil)
	for _, s := range sections {
		switch s.id {
		case sectionExport:
			index = exportedGlobal(s.body)
		case sectionGlobal:
			globals = s.body
		}
	}
	count, rest, err := number(globals)
	if err != nil || index < 0 || uint64(index) >= count {
		return 0, errEngine
	}
	for i := 0; ; i++ {
		// Of the globals that a linker makes, type, mutability and an i32.const.
		if len(rest) < 5 || rest[0] != typeI32 || rest[2] != opI32Const {
			return 0, errEngine
		}
		value, size := signed(rest[3:])
		if size == 0 || len(rest) < 4+size || rest[3+size] != opEnd {
			return 0, errEngine
		}
		if i == index {
			return value, nil
		}
		rest = rest[4+size:]
	}
}

func exportedGlobal(body []byte) int {
	count, rest, err := number(body)
	for ; err == nil && count > 0; count-- {
		var size, index uint64
		if size, rest, err = number(rest); err != nil || size >= uint64(len(rest)) {
			break
		}
		name, kind := string(rest[:size]), rest[size]
		if index, rest, err = number(rest[size+1:]); err == nil && name == exported && kind == kindGlobal {
			return int(index)
		}
	}
	return -1
}

// addSegment adds an active data segment.
func addSegment(body []byte, address int32, text []byte) ([]byte, error) {
	count, rest, err := number(body)
	if err != nil {
		return nil, err
	}
	out := append(binary.AppendUvarint(nil, count+1), rest...)
	out = append(out, 0, opI32Const)
	out = append(appendSigned(out, address), opEnd)
	out = binary.AppendUvarint(out, uint64(len(text)))
	return append(out, text...), nil
}

// signed reads a signed LEB128 of 32 bits; size is 0 where there is none.
func signed(b []byte) (value int32, size int) {
	for shift := 0; size < len(b) && shift < 35; shift += 7 {
		value |= int32(b[size]&0x7f) << shift
		size++
		if b[size-1]&0x80 == 0 {
			if shift < 25 && b[size-1]&0x40 != 0 {
				value |= -1 << (shift + 7)
			}
			return value, size
		}
	}
	return 0, 0
}

func appendSigned(b []byte, v int32) []byte {
	for v < -64 || v > 63 {
		b = append(b, byte(v&0x7f)|0x80)
		v >>= 7
	}
	return append(b, byte(v&0x7f))
}
