// Command counter is a counter: ["add", n] adds, ["get"] asks.
package main

import (
	"io"

	"lockstep/guests/sdk/go/cbor"
	"lockstep/guests/sdk/go/lockstep"
)

func init() { lockstep.Register(&counter{}) }

func main() {}

// limit is what every language can count to, JavaScript too.
const limit = 1<<53 - 1

const codeOutOfRange = 17

type counter struct{ n int64 }

// Apply implements lockstep.Machine.
func (c *counter) Apply(ctx *lockstep.Ctx, input []byte) ([]byte, error) {
	q := cbor.NewRequest(input)
	switch {
	case q.Bad():
		return nil, cbor.ErrMalformed
	case q.Op() != "add":
		return nil, cbor.ErrUnknown
	}
	n := q.Int()
	if !q.Args(1) || !q.End() {
		return nil, cbor.ErrMalformed
	}
	if n < -limit || n > limit || c.n+n < -limit || c.n+n > limit {
		return nil, lockstep.Reject(codeOutOfRange, "out of range")
	}
	c.n += n
	ctx.Emit(new(cbor.Writer).Array(2).Text("changed").Int(c.n).Bytes)
	return new(cbor.Writer).Int(c.n).Bytes, nil
}

// Query implements lockstep.Querier.
func (c *counter) Query(_ *lockstep.Ctx, input []byte) ([]byte, error) {
	q := cbor.NewRequest(input)
	switch {
	case q.Bad():
		return nil, cbor.ErrMalformed
	case q.Op() != "get":
		return nil, cbor.ErrUnknown
	case !q.Args(0) || !q.End():
		return nil, cbor.ErrMalformed
	}
	return new(cbor.Writer).Int(c.n).Bytes, nil
}

// Save implements lockstep.State. The saved state is the same in all languages,
// so that any may take over.
func (c *counter) Save(w io.Writer) error {
	_, err := w.Write(new(cbor.Writer).Int(c.n).Bytes)
	return err
}

// Load implements lockstep.State.
func (c *counter) Load(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	saved := cbor.NewReader(b)
	c.n = saved.Int()
	if !saved.End() {
		return cbor.ErrMalformed
	}
	return nil
}
