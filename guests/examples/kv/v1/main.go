// Command v1 is the first version of the key-value guest.
package main

import (
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
	case kv.OpGet:
		return m.get(r.Key), nil
	case kv.OpDelete:
		if m.store.Delete(r.Key) {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	}
	return nil, lockstep.Reject(kv.CodeUnknown, "operation is unknown to v1")
}

// Query implements lockstep.Querier.
func (m *machine) Query(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	r, err := kv.DecodeRequest(input)
	if err != nil {
		return nil, lockstep.Reject(kv.CodeMalformed, err.Error())
	}
	if r.Op != kv.OpGet {
		return nil, lockstep.Reject(kv.CodeUnknown, "operation is no query of v1")
	}
	return m.get(r.Key), nil
}

func (m *machine) get(key []byte) []byte {
	value, ok := m.store.Get(key)
	if !ok {
		return []byte{0}
	}
	return append([]byte{1}, value...)
}

// Save implements lockstep.State.
func (m *machine) Save(w io.Writer) error { return m.store.Save(w) }

// Load implements lockstep.State.
func (m *machine) Load(r io.Reader) error { return m.store.Load(r) }
