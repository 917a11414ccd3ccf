// Package jetstream is an ordering.Log over NATS JetStream: one stream for one
// machine and epoch, on an embedded server (package embedded) or a cluster
// elsewhere.
//
// # Append
//
// Whoever may publish to the input subject appends; the stream's leader stamps
// position and time and acknowledges after a majority of servers have it.
// An Appender keeps many entries in flight on one subscription and never
// repeats one by itself: without an acknowledgement the outcome is unknown, and
// the machine's sessions, not JetStream's duplicate window, make a repeat safe.
//
// # Read
//
// The leader republishes each entry after commit, and that is the fast path: an
// entry is taken when its stream sequence is the next one. Everything else — a
// gap, a start, a reconnect, a quiet log — is filled by batch direct get, and what that
// does not have is asked of the stream's leader. Consumers are not
// used: they check the sequence of the consumer, not of the stream, and after
// the loss of a server they stall for seconds or for good.
//
// Who asks for the entry at n asks from n-1 and compares that one with what it
// has read, so that a log with other content below n does not go unseen.
//
// # What is believed
//
// A direct get is answered by any server, also by one that lags or has lost
// part of its store: a missing answer is never "deleted". Only the leader's word
// counts for that, and only if it stays the same for a while, since a leader
// that was cut off answers from what it had. Positions and times come from
// headers that the server appends after those of the client, who may have sent
// forged ones, or bytes that end the header early. A message is therefore
// taken from the fast path only if its header is exactly what the server writes;
// anything else is fetched in JSON, where a client's headers are a field of
// their own.
//
// Only the server may publish to the republish subject: that is a permission
// that the operator sets, see Ref.RepublishSubject.
package jetstream
