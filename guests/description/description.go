// Package description is what a guest says of itself: which requests it takes
// and what they answer, as JSON in a custom section of its module. With it a
// command or a dashboard can take and show JSON where the guest has CBOR. It is
// optional, and nothing in it changes what the guest does.
//
// Interface has the schema.
package description

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
)

// Section is the name of the custom section.
const Section = "lockstep_interface"

// maxSection bounds a description in bytes.
const maxSection = 1 << 20

// Interface describes a guest. All of it is for people, but the fact that
// there is one: it says that requests and answers are CBOR.
type Interface struct {
	Version int                  `json:"version"` // 1
	Name    string               `json:"name"`
	Doc     string               `json:"doc,omitempty"`
	Apply   map[string]Operation `json:"apply,omitempty"`   // by name: ["name", args…]
	Query   map[string]Operation `json:"query,omitempty"`   // by name
	Events  map[string]Operation `json:"events,omitempty"`  // by name: what is emitted
	Rejects map[string]string    `json:"rejects,omitempty"` // by code, in decimal
}

// Operation is one request, or one event.
type Operation struct {
	Doc     string  `json:"doc,omitempty"`
	Args    []Field `json:"args,omitempty"`
	Returns string  `json:"returns,omitempty"` // a type: int, text, bytes, bool, null, any, [T], T?
}

// Field is an argument.
type Field struct {
	Name string `json:"name"`
	Type string `json:"type"` // as Returns, or T… for any number of T, of the last argument
}

// ErrNone is answered for a module without a description.
var ErrNone = errors.New("module has no interface description")

var header = []byte("\x00asm\x01\x00\x00\x00")

// Read finds the description in a module.
func Read(module []byte) (Interface, error) {
	for s, err := range sections(module) {
		if err != nil {
			return Interface{}, err
		}
		if s.name == Section {
			return parse(s.text)
		}
	}
	return Interface{}, ErrNone
}

// section is one of a module.
type section struct {
	whole []byte // as it stands there
	name  string // of a custom one
	text  []byte // of a custom one, after its name
}

// sections are those of a module, in its order, until an error.
func sections(module []byte) iter.Seq2[section, error] {
	return func(yield func(section, error) bool) {
		rest, ok := bytes.CutPrefix(module, header)
		if !ok {
			yield(section{}, errors.New("read description: not a WebAssembly module"))
			return
		}
		for len(rest) > 0 {
			body, after, err := cut(rest[1:])
			s := section{whole: rest[:len(rest)-len(after)]}
			if err == nil && rest[0] == 0 {
				var name []byte
				name, s.text, err = cut(body)
				s.name = string(name)
			}
			if !yield(s, err) || err != nil {
				return
			}
			rest = after
		}
	}
}

// cut takes a length and as many bytes.
func cut(b []byte) (part, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 5 || n > uint64(len(b)-size) {
		return nil, nil, errors.New("read description: module is cut short")
	}
	return b[size : size+int(n)], b[size+int(n):], nil
}

func parse(text []byte) (Interface, error) {
	var in Interface
	if len(text) > maxSection {
		return in, fmt.Errorf("description has %d bytes, at most %d", len(text), maxSection)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, fmt.Errorf("parse description: %w", err)
	}
	if in.Version != 1 {
		return in, fmt.Errorf("description has version %d, want 1", in.Version)
	}
	return in, nil
}

// Put returns the module with a description, JSON, in place of the one it has, if any.
func Put(module, text []byte) ([]byte, error) {
	without := bytes.Clone(header)
	for s, err := range sections(module) {
		if err != nil {
			return nil, err
		}
		if s.name != Section {
			without = append(without, s.whole...)
		}
	}
	return Append(without, text)
}

// Append returns the module with a description, JSON, as its last section. A
// module that has one already is refused.
func Append(module, text []byte) ([]byte, error) {
	if _, err := Read(module); !errors.Is(err, ErrNone) {
		return nil, errors.Join(errors.New("module has a description, or is none"), err)
	}
	if _, err := parse(text); err != nil {
		return nil, err
	}
	var small bytes.Buffer
	if err := json.Compact(&small, text); err != nil {
		return nil, fmt.Errorf("compact description: %w", err)
	}
	body := append(binary.AppendUvarint(nil, uint64(len(Section))), Section...)
	body = append(body, small.Bytes()...)
	out := append(bytes.Clone(module), 0)
	return append(binary.AppendUvarint(out, uint64(len(body))), body...), nil
}
