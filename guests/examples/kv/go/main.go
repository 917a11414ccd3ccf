// Command kv is an ordered map from text to text.
package main

import (
	"io"
	"slices"
	"strings"

	"lockstep/guests/sdk/go/cbor"
	"lockstep/guests/sdk/go/lockstep"
)

func init() { lockstep.Register(&kv{}) }

func main() {}

const (
	maxKey   = 1024
	maxValue = 65536
	maxRange = 1000

	codeTooLarge = 17
)

type entry struct{ key, value string }

// kv holds the entries ascending by key: Go's own map has no order.
type kv struct{ entries []entry }

func (m *kv) find(key string) (i int, ok bool) {
	return slices.BinarySearchFunc(m.entries, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
}

func (m *kv) put(key, value string) {
	if i, ok := m.find(key); ok {
		m.entries[i].value = value
	} else {
		m.entries = slices.Insert(m.entries, i, entry{key, value})
	}
}

// Apply implements lockstep.Machine.
func (m *kv) Apply(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	q, w := cbor.NewRequest(input), &cbor.Writer{}
	if q.Bad() {
		return nil, cbor.ErrMalformed
	}
	switch q.Op() {
	case "put":
		key, value := q.Text(), q.Text()
		if !q.Args(2) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		if len(key) > maxKey || len(value) > maxValue {
			return nil, lockstep.Reject(codeTooLarge, "key or value too large")
		}
		m.put(key, value)
		return w.Null().Bytes, nil
	case "delete":
		key := q.Text()
		if !q.Args(1) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		i, ok := m.find(key)
		if ok {
			m.entries = slices.Delete(m.entries, i, i+1)
		}
		return w.Bool(ok).Bytes, nil
	}
	return nil, cbor.ErrUnknown
}

// Query implements lockstep.Querier.
func (m *kv) Query(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	q, w := cbor.NewRequest(input), &cbor.Writer{}
	if q.Bad() {
		return nil, cbor.ErrMalformed
	}
	switch q.Op() {
	case "get":
		key := q.Text()
		if !q.Args(1) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		if i, ok := m.find(key); ok {
			return w.Text(m.entries[i].value).Bytes, nil
		}
		return w.Null().Bytes, nil
	case "range":
		from, to, limit := q.Text(), q.Text(), q.Int()
		if !q.Args(3) || !q.End() || limit < 1 || limit > maxRange {
			return nil, cbor.ErrMalformed
		}
		return m.between(from, to, int(limit)), nil
	case "count":
		if !q.Args(0) || !q.End() {
			return nil, cbor.ErrMalformed
		}
		return w.Int(int64(len(m.entries))).Bytes, nil
	}
	return nil, cbor.ErrUnknown
}

// between encodes the first entries from a key on and below another; to empty
// is the end.
func (m *kv) between(from, to string, limit int) []byte {
	i, _ := m.find(from)
	end := len(m.entries)
	if to != "" {
		end, _ = m.find(to)
	}
	return encode(m.entries[i:max(i, min(end, i+limit))])
}

func encode(entries []entry) []byte {
	w := new(cbor.Writer).Array(len(entries))
	for _, e := range entries {
		w.Array(2).Text(e.key).Text(e.value)
	}
	return w.Bytes
}

// Save implements lockstep.State: all of the map, the same in all languages.
func (m *kv) Save(w io.Writer) error {
	_, err := w.Write(encode(m.entries))
	return err
}

// Load implements lockstep.State.
func (m *kv) Load(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	saved := cbor.NewReader(b)
	for n := saved.Array(); n > 0 && !saved.Bad(); n-- {
		if saved.Array() != 2 {
			return cbor.ErrMalformed
		}
		key, value := saved.Text(), saved.Text()
		m.put(key, value)
	}
	if !saved.End() {
		return cbor.ErrMalformed
	}
	return nil
}
