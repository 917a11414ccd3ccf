// Package protocol is what clients and replicas say to each other beside the log:
// questions, answers to them, and the subjects they go by. It is pure.
package protocol
