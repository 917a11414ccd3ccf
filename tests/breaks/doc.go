// Package breaks makes the log of a running machine break, each way that a real JetStream has been
// seen to break, and checks that every accepted output survives, none is applied twice, all
// replicas end alike, and service resumes by itself where one way on is left.
package breaks
