// Package embedded runs a nats-server with JetStream inside this process. It is
// not part of package jetstream so that a client does not carry a server.
//
// A nats-server alone assumes that it owns its process: it exits it on an error,
// handles its signals, and elects a new leader after 4 to 9 seconds. Start
// gives it a logger that turns the exit into an error (see Server.Failed), no
// signals, and shorter raft timers, which must be equal on all servers of a cluster.
//
// Each server of a cluster is given the same list of routes, its own among them: their
// number is the number of servers that the cluster waits for when it is founded.
package embedded
