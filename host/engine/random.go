package engine

import (
	"github.com/zeebo/blake3"

	"lockstep/host"
)

// randomContext separates the stream from any other use of its key.
const randomContext = "lockstep guest random stream v1"

// random is a guest's source of randomness: the BLAKE3 output stream, in
// derive-key mode with randomContext, of the key that came with the call. It
// begins anew in each call.
type random struct {
	hasher *blake3.Hasher
	stream *blake3.Digest // nil until the first read of a call
}

func (r *random) reset() { r.stream = nil }

func (r *random) read(from host.RandomKey, into []byte) {
	if r.stream == nil {
		if r.hasher == nil {
			r.hasher = blake3.NewDeriveKey(randomContext)
		}
		key := from.Key()
		r.hasher.Reset()
		_, _ = r.hasher.Write(key[:])
		r.stream = r.hasher.Digest()
	}
	_, _ = r.stream.Read(into) // of a stream of 2^64-1 bytes; cannot fail
}
