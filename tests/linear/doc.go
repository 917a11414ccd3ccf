// Package linear checks that histories of calls are linearizable: clients call a register, a key-value store, a
// queue and a bank on real nodes in processes of their own, while these are killed, stopped in their tracks, cut off
// from each other, made to lead and to follow, replaced, and have their clocks set wrong and bits of their memory flipped. Porcupine then looks for
// an order of the calls that explains every answer.
//
//	go test ./tests/linear                        a few seeds
//	go test ./tests/linear -runs=200 -timeout=0   as many, from -seed on
//
// A failure prints the command that repeats its seed. A client that believes one
// replica alone is caught by the same checks, and so are nodes that believe the log.
package linear
