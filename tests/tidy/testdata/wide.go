// Package wide exports five names, counted as the rule counts.
package wide

import "context"

// Kinds of a thing.
const (
	First = iota
	Second
	third
)

// Thing has a method, which is not counted.
type Thing struct{}

// Do is a method.
func (Thing) Do() {}

// Left and Right are two.
var Left, Right, middle int

// Run takes a context.
func Run(context.Context) {}

// Wait takes one too.
func (*Thing) Wait(_ int, ctx context.Context) error { return ctx.Err() }

type adapter struct{}

// Call is what somebody else's interface asks for.
func (adapter) Call(context.Context) {}

func hidden(context.Context) {}
