// Command v2 is the second version of the key-value guest: it adds numbers and
// counts keys. It loads what v1 saved, and the other way round.
package main

import (
	"encoding/binary"
	"io"

	"lockstep/guests/examples/kv"
	"lockstep/guests/sdk/go/lockstep"
)

func init() { lockstep.Register(&machine{}) }

func main() {}

type machine struct{ store kv.Store }

// Apply implements lockstep.Machine.
func (m *machine) Apply(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	r, err := kv.DecodeRequest(input)
	if err != nil {
		return nil, lockstep.Reject(kv.CodeMalformed, err.Error())
	}
	switch r.Op {
	case kv.OpPut:
		m.store.Put(r.Key, r.Rest)
		return nil, nil
	case kv.OpDelete:
		if m.store.Delete(r.Key) {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	case kv.OpAdd:
		return m.add(r)
	}
	return m.read(r)
}

// Query implements lockstep.Querier.
func (m *machine) Query(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	r, err := kv.DecodeRequest(input)
	if err != nil {
		return nil, lockstep.Reject(kv.CodeMalformed, err.Error())
	}
	return m.read(r)
}

func (m *machine) read(r kv.Request) ([]byte, error) {
	switch r.Op {
	case kv.OpGet:
		value, ok := m.store.Get(r.Key)
		if !ok {
			return []byte{0}, nil
		}
		return append([]byte{1}, value...), nil
	case kv.OpCount:
		return binary.BigEndian.AppendUint64(nil, uint64(m.store.Len())), nil
	}
	return nil, lockstep.Reject(kv.CodeUnknown, "operation is unknown to v2, or no query")
}

func (m *machine) add(r kv.Request) ([]byte, error) {
	if len(r.Rest) != 8 {
		return nil, lockstep.Reject(kv.CodeMalformed, "delta is not 8 bytes")
	}
	sum := binary.BigEndian.Uint64(r.Rest)
	if value, ok := m.store.Get(r.Key); ok {
		if len(value) != 8 {
			return nil, lockstep.Reject(kv.CodeNotNumber, "value is not 8 bytes")
		}
		sum += binary.BigEndian.Uint64(value)
	}
	answer := binary.BigEndian.AppendUint64(nil, sum)
	m.store.Put(r.Key, answer)
	return answer, nil
}

// Save implements lockstep.State.
func (m *machine) Save(w io.Writer) error { return m.store.Save(w) }

// Load implements lockstep.State.
func (m *machine) Load(r io.Reader) error { return m.store.Load(r) }
