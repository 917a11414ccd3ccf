package kv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
)

// Store is the state of the guests of all versions.
type Store struct{ values map[string][]byte }

// Put keeps a copy of value.
func (s *Store) Put(key, value []byte) {
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[string(key)] = slices.Clone(value)
}

// Get returns a part of the store.
func (s *Store) Get(key []byte) (value []byte, ok bool) {
	value, ok = s.values[string(key)]
	return value, ok
}

// Delete reports whether there was a value.
func (s *Store) Delete(key []byte) (existed bool) {
	_, existed = s.values[string(key)]
	delete(s.values, string(key))
	return existed
}

// Len is the number of keys.
func (s *Store) Len() int { return len(s.values) }

// savedMagic begins a saved store. Then, for each key in ascending order: its
// length, the key, the length of the value, the value; lengths as uvarints.
// Both versions read and write it.
const savedMagic = "KVS1"

// Save writes the store.
func (s *Store) Save(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	_, _ = b.WriteString(savedMagic) // errors stay in b until Flush
	var length []byte
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		value := s.values[key]
		_, _ = b.Write(binary.AppendUvarint(length[:0], uint64(len(key))))
		_, _ = b.WriteString(key)
		_, _ = b.Write(binary.AppendUvarint(length[:0], uint64(len(value))))
		_, _ = b.Write(value)
	}
	return b.Flush()
}

// Load replaces the store by a saved one.
func (s *Store) Load(r io.Reader) error {
	b := bufio.NewReaderSize(r, 64<<10)
	magic := make([]byte, len(savedMagic))
	if _, err := io.ReadFull(b, magic); err != nil || string(magic) != savedMagic {
		return errors.New("load store: no magic")
	}
	values := make(map[string][]byte)
	last := ""
	for {
		key, err := readString(b, MaxKey)
		if errors.Is(err, io.EOF) {
			s.values = values
			return nil
		}
		if err != nil {
			return loadError("key after", last, err)
		}
		if len(values) > 0 && string(key) <= last {
			return loadError("key after", last, errOrder)
		}
		last = string(key)
		if values[last], err = readString(b, MaxValue); err != nil {
			return loadError("value of", last, noEOF(err))
		}
	}
}

var (
	errOrder  = errors.New("keys are out of order")
	errLength = errors.New("length is over the limit")
)

func loadError(what, key string, err error) error {
	return errors.New("load " + what + " " + strconv.Quote(key) + ": " + err.Error())
}

// readString reads a length and as many bytes. It answers io.EOF only where
// there is nothing at all.
func readString(b *bufio.Reader, limit uint64) ([]byte, error) {
	size, err := binary.ReadUvarint(b)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, errLength
	}
	p := make([]byte, size)
	_, err = io.ReadFull(b, p)
	return p, noEOF(err)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
