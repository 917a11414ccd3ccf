// Package nodeproc runs nodes as processes of their own, each with its NATS server, that
// tests can kill, stop in their tracks and cut off from each other.
//
// A test binary is the node's program too: its TestMain calls Main first. What a
// node is asked beside its protocol goes over its standard input, a line for a command.
package nodeproc
